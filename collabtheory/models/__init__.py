"""Recommenders and what they are made of."""

from collabtheory.models.architectures import build
from collabtheory.models.autoencoder import Autoencoder
from collabtheory.models.checkpoints import Checkpoint, load_model, save_model
from collabtheory.models.item_anchors import alignment_loss
from collabtheory.models.kl import cyclical_beta, kl_to_prior, linear_beta
from collabtheory.models.likelihoods import LIKELIHOODS, Likelihood, get_likelihood
from collabtheory.models.masking import encoder_input
from collabtheory.models.mult_dae import MultDAE
from collabtheory.models.mult_vae import MultVAE
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.models.rec_vae import RecVAE
from collabtheory.models.recommender import EncoderLayers, Recommender, from_autoencoder, from_mult_vae
from collabtheory.models.specification import Masking, ModelSpec, TrainingSpec

__all__ = [
    "LIKELIHOODS",
    "Autoencoder",
    "Checkpoint",
    "DiagonalGaussian",
    "EncoderLayers",
    "Likelihood",
    "Masking",
    "ModelSpec",
    "MultDAE",
    "MultVAE",
    "RecVAE",
    "Recommender",
    "TrainingSpec",
    "alignment_loss",
    "build",
    "cyclical_beta",
    "encoder_input",
    "from_autoencoder",
    "from_mult_vae",
    "get_likelihood",
    "kl_to_prior",
    "linear_beta",
    "load_model",
    "save_model",
]
