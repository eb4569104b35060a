"""What a model and its training are, as frozen values: the same specification and seed give the same weights."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from collabtheory.runs.frozen import Frozen

Masking = Literal["normalise_then_mask", "mask_then_normalise", "mask_only"]


class ModelSpec(Frozen):
    """An autoencoder over item sets; the defaults are the published Mult-VAE (arXiv:1802.05814).

    ``architecture`` is ``mult_vae``, ``mult_dae`` (same paper; no sampling, no KL term) or ``rec_vae``
    (arXiv:1912.11160). ``masking`` names the convention (THEORY: Lemma 2.4): ``normalise_then_mask`` is the published
    code (``x/||x||_2``, then each entry kept with ``keep_probability`` and scaled by its inverse),
    ``mask_then_normalise`` normalises the masked set, ``mask_only`` never normalises. At test time nothing is masked.
    """

    architecture: Literal["mult_vae", "mult_dae", "rec_vae"] = "mult_vae"
    hidden: tuple[int, ...] = (600,)
    latent: int = Field(200, ge=1)
    likelihood: Literal["multinomial", "bernoulli", "gaussian", "poisson"] = "multinomial"
    confidence: float = Field(1.0, ge=1)
    """Gaussian likelihood: weight of an observed item's squared error against 1 of every other."""
    masking: Masking = "normalise_then_mask"
    keep_probability: float = Field(0.5, gt=0, le=1)
    alignment_weight: float = Field(0.0, ge=0)
    """``lambda_A`` of the PIA loss; 0 trains without item anchors."""


class TrainingSpec(Frozen):
    """How a model is trained.

    The KL weight climbs linearly from 0 to ``beta`` over the first ``annealing`` share of the planned steps and stays
    there. The best epoch is chosen by validation nDCG@100 among those at the full weight, and patience counts from then
    on, so that the result is always a model trained with ``beta``. (The published run reaches its cap of 0.2 at a share
    of 0.85 of its steps, 40,000 of 46,800 on ML-20M, and picks the best epoch of all; the climb here is shorter, to
    leave time at the cap.)
    """

    epochs: int = Field(60, ge=0)
    batch_size: int = Field(100, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    learning_rate_schedule: Literal["constant", "cosine"] = "constant"
    optimiser: Literal["adam", "adamw"] = "adam"
    weight_decay: float = Field(0.0, ge=0)
    beta: float = Field(0.2, ge=0)
    kl_schedule: Literal["constant", "linear", "cyclical"] = "linear"
    """How the KL weight gets to ``beta``: at once, by one climb, or by a climb over the first half of each cycle."""
    annealing: float = Field(0.5, ge=0, le=1)
    cycles: int = Field(4, ge=1)
    kl_weighting: Literal["global", "by_size", "learned"] = "global"
    """One weight for all; ``beta`` times the user's number of items (RecVAE's gamma); or a weight that each user's own
    reconstruction gap drives."""
    objective: Literal["likelihood", "sampled_softmax", "bpr"] = "likelihood"
    """The reconstruction term: the likelihood, or a ranking loss against ``negatives`` unobserved items."""
    negatives: int = Field(200, ge=1)
    alignment_schedule: Literal["constant", "linear"] = "constant"
    """``linear``: ``lambda_A`` climbs as the KL weight does."""
    alignment_terms: Literal["full", "mean", "variance"] = "full"
    """Ablation of the PIA loss: all of it, or only what moves the means, or only what shrinks the variances."""
    alignment_items: Literal["own", "shuffled"] = "own"
    """Negative control: ``shuffled`` aligns each user with the items of another user, the same one throughout."""
    patience: int = Field(20, ge=1)
    """Epochs at the full KL weight without a better validation nDCG@100 before training stops."""
    snapshots: tuple[int, ...] = ()
    """Epochs after which the weights are kept as well (0 = initialisation)."""
