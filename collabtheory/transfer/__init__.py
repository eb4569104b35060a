"""Who moves whose loss: decoder gradients, one-step loss changes, mismatch, alignment and the sharing radii."""

from collabtheory.transfer.codes import transport_cost, tube_radius
from collabtheory.transfer.decoders import kernel_for
from collabtheory.transfer.functions import (
    alignment,
    content_mismatch,
    directional_slopes,
    gradient_cross_gram,
    gradient_gap,
    gradient_gram,
    gradient_gram_standard_error,
    gradient_norms,
    step_loss_change,
    step_loss_change_pairs,
    step_loss_change_surrogate,
)
from collabtheory.transfer.kernels import TransferKernels
from collabtheory.transfer.loss_change_surrogate import LossChangeEstimate
from collabtheory.transfer.mismatch_forms import MismatchForms, content_mismatch_forms
from collabtheory.transfer.radii import aligned_radius, sharing_radius
from collabtheory.transfer.sensitivities import Sensitivities
from collabtheory.transfer.step_sizes import step_curvatures, step_range
from collabtheory.transfer.work import gram_flops, loss_change_flops, surrogate_flops

__all__ = [
    "LossChangeEstimate",
    "MismatchForms",
    "Sensitivities",
    "TransferKernels",
    "aligned_radius",
    "alignment",
    "content_mismatch",
    "content_mismatch_forms",
    "directional_slopes",
    "gradient_cross_gram",
    "gradient_gap",
    "gradient_gram",
    "gradient_gram_standard_error",
    "gradient_norms",
    "gram_flops",
    "kernel_for",
    "loss_change_flops",
    "sharing_radius",
    "step_curvatures",
    "step_loss_change",
    "step_loss_change_pairs",
    "step_loss_change_surrogate",
    "step_range",
    "surrogate_flops",
    "transport_cost",
    "tube_radius",
]
