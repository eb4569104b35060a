"""Ranking accuracy: metrics by name, and their evaluation on tested users."""

from collabtheory.ranking.definitions import DEFAULT_METRICS, LIBRARIES, METRICS, Metric, metric
from collabtheory.ranking.evaluation import Scorer, UserScores, evaluate
from collabtheory.ranking.metrics import ndcg_at_k, rank_unseen, recall_at_k

__all__ = [
    "DEFAULT_METRICS",
    "LIBRARIES",
    "METRICS",
    "Metric",
    "Scorer",
    "UserScores",
    "evaluate",
    "metric",
    "ndcg_at_k",
    "rank_unseen",
    "recall_at_k",
]
