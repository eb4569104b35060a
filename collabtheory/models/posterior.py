"""Diagonal Gaussian posteriors, one row a user."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from collabtheory.errors import InvalidInput

Array = np.ndarray | torch.Tensor


@dataclass(frozen=True)
class DiagonalGaussian:
    r"""Posteriors :math:`q_u = N(\mu_u, \mathrm{diag}(\sigma_u^2))`, one row a user.

    Parameters
    ----------
    mu
        Means, ``(n_users, d)``, NumPy array or torch tensor (or nested lists). Finite.
    sigma
        Standard deviations (never variances), the same shape. Finite and strictly positive.

    Raises
    ------
    InvalidInput
        If the shapes differ or are not 2-D, or an entry is NaN, infinite, or (sigma) not positive; the message names
        the first offending row and column.

    Notes
    -----
    Results computed from a posterior are of the kind it was given in: torch tensors in, torch tensors out; anything
    else gives NumPy arrays. No user at all (``n_users = 0``) is allowed; no dimension (``d = 0``) is not.

    Examples
    --------
    >>> q = DiagonalGaussian([[0.0, 1.0]], [[1.0, 0.5]])
    >>> q.n_users, q.n_dimensions
    (1, 2)
    """

    mu: Array
    sigma: Array

    def __post_init__(self) -> None:
        mu, sigma = _as_floating("mu", self.mu), _as_floating("sigma", self.sigma)
        if isinstance(mu, torch.Tensor) != isinstance(sigma, torch.Tensor):
            mu, sigma = torch.as_tensor(mu), torch.as_tensor(sigma)
        if mu.ndim != 2:
            raise InvalidInput(f"mu must be 2-D (users, dimensions); its shape is {tuple(mu.shape)}")
        if tuple(mu.shape) != tuple(sigma.shape):
            raise InvalidInput(
                f"mu and sigma must have the same shape; they have {tuple(mu.shape)} and {tuple(sigma.shape)}"
            )
        if mu.shape[1] == 0:
            raise InvalidInput("mu has no dimension (its shape is (n_users, 0))")
        _refuse("mu", mu, np.isfinite, "must be finite")
        _refuse("sigma", sigma, np.isfinite, "must be finite")
        _refuse("sigma", sigma, lambda values: values > 0, "is a standard deviation and must be positive")
        object.__setattr__(self, "mu", mu)
        object.__setattr__(self, "sigma", sigma)

    @property
    def n_users(self) -> int:
        """Number of rows."""
        return int(self.mu.shape[0])

    @property
    def n_dimensions(self) -> int:
        """Latent dimensions ``d``."""
        return int(self.mu.shape[1])

    def __len__(self) -> int:
        return self.n_users

    def __getitem__(self, rows: slice | np.ndarray | list[int]) -> DiagonalGaussian:
        """Return the posteriors of the given rows (slice, boolean mask or row numbers)."""
        return DiagonalGaussian(self.mu[rows], self.sigma[rows])

    def numpy(self) -> tuple[np.ndarray, np.ndarray]:
        """Return ``(mu, sigma)`` as float64 NumPy arrays."""
        return _to_float64(self.mu), _to_float64(self.sigma)

    def sample(self, n_samples: int, rng: np.random.Generator, *, noise: str = "common") -> np.ndarray:
        r"""Draw reparametrised codes :math:`z_{us} = \mu_u + \sigma_u \epsilon_s`.

        Parameters
        ----------
        n_samples
            Samples per user, ``S >= 1``.
        rng
            Source of the noise.
        noise
            ``"common"``: one noise per sample, shared by all users (the comonotone coupling, so that
            ``mean_s ||z_us - z_vs||`` is a transport cost); ``"independent"``: a fresh noise for each user.

        Returns
        -------
        numpy.ndarray
            Codes, ``(n_users, S, d)``, float64.
        """
        if n_samples < 1:
            raise InvalidInput(f"n_samples must be at least 1; it is {n_samples}")
        if noise not in ("common", "independent"):
            raise InvalidInput(f"noise must be 'common' or 'independent'; it is {noise!r}")
        mu, sigma = self.numpy()
        rows = 1 if noise == "common" else self.n_users
        epsilon = rng.standard_normal((rows, n_samples, self.n_dimensions))
        return np.asarray(mu[:, None, :] + sigma[:, None, :] * epsilon)


def _as_floating(name: str, values: Array) -> Array:
    if isinstance(values, torch.Tensor):
        if values.is_complex():
            raise InvalidInput(f"{name} must be real numbers; its dtype is {values.dtype}")
        return values if values.is_floating_point() else values.to(torch.float64)
    try:
        array = np.asarray(values)
        return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name} must be a rectangular array of numbers: {error}") from error


def _to_float64(values: Array) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    return np.asarray(values, dtype=np.float64)


def _refuse(name: str, values: Array, allowed: object, rule: str) -> None:
    array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values
    bad = ~allowed(array)  # type: ignore[operator]
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise InvalidInput(f"{name} {rule}; {name}[{row}, {column}] is {array[row, column]}")
