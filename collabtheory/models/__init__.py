"""Recommenders and what they are made of."""

from collabtheory.models.likelihoods import LIKELIHOODS, Likelihood, get_likelihood
from collabtheory.models.posterior import DiagonalGaussian

__all__ = ["LIKELIHOODS", "DiagonalGaussian", "Likelihood", "get_likelihood"]
