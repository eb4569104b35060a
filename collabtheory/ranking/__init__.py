"""Ranking accuracy: metrics by name, their evaluation on tested users, cohorts, and exposure of the catalogue."""

from collabtheory.ranking.beyond_accuracy import Exposure, catalogue_coverage, exposure, gini, popularity_percentiles
from collabtheory.ranking.cohorts import COHORTS, Cohort, CohortSummary, by_cohort, cohort_of
from collabtheory.ranking.definitions import DEFAULT_METRICS, LIBRARIES, METRICS, Metric, metric
from collabtheory.ranking.evaluation import Scorer, UserScores, evaluate
from collabtheory.ranking.frames import read_frame, to_frame, write_frame
from collabtheory.ranking.hand_computed import SelfTest, self_test
from collabtheory.ranking.metrics import ndcg_at_k, rank_unseen, recall_at_k

__all__ = [
    "COHORTS",
    "DEFAULT_METRICS",
    "LIBRARIES",
    "METRICS",
    "Cohort",
    "CohortSummary",
    "Exposure",
    "Metric",
    "Scorer",
    "SelfTest",
    "UserScores",
    "by_cohort",
    "catalogue_coverage",
    "cohort_of",
    "evaluate",
    "exposure",
    "gini",
    "metric",
    "ndcg_at_k",
    "popularity_percentiles",
    "rank_unseen",
    "read_frame",
    "recall_at_k",
    "self_test",
    "to_frame",
    "write_frame",
]
