"""Ranking accuracy."""

from collabtheory.ranking.metrics import ndcg_at_k, rank_unseen, recall_at_k

__all__ = ["ndcg_at_k", "rank_unseen", "recall_at_k"]
