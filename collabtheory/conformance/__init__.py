"""Does a VAE recommender do what its paper says? Checks for the errors found in public implementations."""

from collabtheory.conformance.autoencoder_under_test import captured_codes, from_autoencoder, from_mult_vae
from collabtheory.conformance.ease_checks import check_ease
from collabtheory.conformance.finding import Finding, Status, exit_code
from collabtheory.conformance.loading import contents_for, load_under_test
from collabtheory.conformance.printing import print_findings
from collabtheory.conformance.under_test import VaeUnderTest, random_contents
from collabtheory.conformance.vae import CHECKS, check_vae, to_table

__all__ = [
    "CHECKS",
    "Finding",
    "Status",
    "VaeUnderTest",
    "captured_codes",
    "check_ease",
    "check_vae",
    "contents_for",
    "exit_code",
    "from_autoencoder",
    "from_mult_vae",
    "load_under_test",
    "print_findings",
    "random_contents",
    "to_table",
]
