"""Statistics on top of scipy.stats."""

from collabtheory.stats.correlation import Estimate, grouped_jackknife, partial_spearman, spearman

__all__ = ["Estimate", "grouped_jackknife", "partial_spearman", "spearman"]
