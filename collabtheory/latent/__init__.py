"""The latent space: distances of posteriors, neighbours, and Lipschitz constants with their regions."""

from collabtheory.latent.compromise_bounds import CompromiseBounds, compromise_gap_bounds
from collabtheory.latent.compromise_gap import jensen_gap, pointwise_gap
from collabtheory.latent.decoder_lipschitz import (
    decoder_gradient_lipschitz,
    directional_lipschitz_on_balls,
    gradient_lipschitz_on_balls,
    gradient_lipschitz_on_segments,
)
from collabtheory.latent.encoder_conventions import EncodedPairs, encode_pairs
from collabtheory.latent.encoder_lipschitz import encoder_lipschitz, encoder_lipschitz_by_size, kappa
from collabtheory.latent.encoder_slopes import encoder_jacobian_norms, largest_ratio
from collabtheory.latent.gradient_growth import GradientGrowth, gradient_growth
from collabtheory.latent.gradient_jacobian import directional_slopes, local_gradient_lipschitz
from collabtheory.latent.gradient_lanczos import lanczos_gradient_lipschitz
from collabtheory.latent.kl_decomposition import KLDecomposition, MonteCarlo, decompose_kl, kl_per_unit
from collabtheory.latent.lipschitz import LipschitzBracket
from collabtheory.latent.neighbours import Neighbours, nearest
from collabtheory.latent.network_lipschitz import network_lipschitz
from collabtheory.latent.overlap_integrals import CompromiseGap, compromise_gap, compromise_gap_by_quadrature
from collabtheory.latent.pair_contraction import Contraction, contraction
from collabtheory.latent.posterior_collapse import Collapse, collapse
from collabtheory.latent.posterior_overlap import log_affinity
from collabtheory.latent.posterior_tails import posterior_mass_outside
from collabtheory.latent.wasserstein import W1Bounds, pairwise_w2, w1_bounds, w1_l1, w2, w2_to_prior

__all__ = [
    "Collapse",
    "CompromiseBounds",
    "CompromiseGap",
    "Contraction",
    "EncodedPairs",
    "GradientGrowth",
    "KLDecomposition",
    "LipschitzBracket",
    "MonteCarlo",
    "Neighbours",
    "W1Bounds",
    "collapse",
    "compromise_gap",
    "compromise_gap_bounds",
    "compromise_gap_by_quadrature",
    "contraction",
    "decoder_gradient_lipschitz",
    "decompose_kl",
    "directional_lipschitz_on_balls",
    "directional_slopes",
    "encode_pairs",
    "encoder_jacobian_norms",
    "encoder_lipschitz",
    "encoder_lipschitz_by_size",
    "gradient_growth",
    "gradient_lipschitz_on_balls",
    "gradient_lipschitz_on_segments",
    "jensen_gap",
    "kappa",
    "kl_per_unit",
    "lanczos_gradient_lipschitz",
    "largest_ratio",
    "local_gradient_lipschitz",
    "log_affinity",
    "nearest",
    "network_lipschitz",
    "pairwise_w2",
    "pointwise_gap",
    "posterior_mass_outside",
    "w1_bounds",
    "w1_l1",
    "w2",
    "w2_to_prior",
]
