"""Statistics on top of scipy.stats: intervals, tests, effect sizes, and verdicts on claims about data."""

from collabtheory.stats.bootstrap import bootstrap_mean, bootstrap_statistic, bootstrap_sum
from collabtheory.stats.comparison import Comparison, Evidence, Verdict, decide, with_holm
from collabtheory.stats.correlation import Estimate, grouped_jackknife, partial_spearman, spearman
from collabtheory.stats.effects import (
    cohens_d,
    cohens_dz,
    equivalence_margin,
    group_superiority,
    smallest_detectable,
    standard_error_of_sum,
)
from collabtheory.stats.error_rate import ErrorRate, measure_error_rate
from collabtheory.stats.group_comparison import GroupComparison, compare_groups
from collabtheory.stats.holm import holm
from collabtheory.stats.paired_comparison import PairedComparison, compare_paired
from collabtheory.stats.permutation import difference_weights, label_permutation_p, sign_flip_p

__all__ = [
    "Comparison",
    "ErrorRate",
    "Estimate",
    "Evidence",
    "GroupComparison",
    "PairedComparison",
    "Verdict",
    "bootstrap_mean",
    "bootstrap_statistic",
    "bootstrap_sum",
    "cohens_d",
    "cohens_dz",
    "compare_groups",
    "compare_paired",
    "decide",
    "difference_weights",
    "equivalence_margin",
    "group_superiority",
    "grouped_jackknife",
    "holm",
    "label_permutation_p",
    "measure_error_rate",
    "partial_spearman",
    "sign_flip_p",
    "smallest_detectable",
    "spearman",
    "standard_error_of_sum",
    "with_holm",
]
