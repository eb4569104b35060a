"""Interactions: where they come from, how they are split, and planted worlds whose truth is known."""

from collabtheory.data.catalogue import CatalogueEntry
from collabtheory.data.checking import DataReport, check
from collabtheory.data.filters import FilterStep
from collabtheory.data.interactions import Interactions
from collabtheory.data.loading import load
from collabtheory.data.locations import catalogue, fetch
from collabtheory.data.planted import PlantedBlock, PlantedWorld, generate, stream
from collabtheory.data.relations import RELATIONS, relation
from collabtheory.data.split import FoldIn, StrongSplit, split_by_users, strong_generalisation, user_folds

__all__ = [
    "RELATIONS",
    "CatalogueEntry",
    "DataReport",
    "FilterStep",
    "FoldIn",
    "Interactions",
    "PlantedBlock",
    "PlantedWorld",
    "StrongSplit",
    "catalogue",
    "check",
    "fetch",
    "generate",
    "load",
    "relation",
    "split_by_users",
    "stream",
    "strong_generalisation",
    "user_folds",
]
