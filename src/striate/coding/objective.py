"""The energy that the solvers minimize."""

from __future__ import annotations

import numpy as np

from striate.errors import UsageError
from striate.parameters import Real, checked
from striate.samples import as_samples

__all__ = ["energy"]


def energy(
    signals: np.ndarray,
    codes: np.ndarray,
    dictionary: np.ndarray,
    sparsity: float,
    *,
    prediction: float = 0.0,
    target: np.ndarray | None = None,
) -> np.ndarray:
    """Energy of each signal with its code: ½‖y − zD‖² + sparsity·Σ|z| + ½·prediction·‖z − target‖².

    Parameters
    ----------
    signals : ndarray (n_samples, n_features), float
    codes : ndarray (n_samples, n_components), float
    dictionary : ndarray (n_components, n_features), float
    sparsity, prediction : float
        The weights; the talk writes the squares without ½, so that ours are half of the talk's.
    target : ndarray (n_samples, n_components), optional
        The prediction of an encoder; required if `prediction` is not 0.

    Returns
    -------
    ndarray (n_samples,), dtype of `signals`; float16 and integers as floats

    Raises
    ------
    UsageError
        For NaN or infinity, shapes that do not fit, and numbers whose squares are infinite.
    """
    sparsity, prediction = (
        checked(name, value, Real(low=0)) for name, value in (("sparsity", sparsity), ("prediction", prediction))
    )
    signals, codes = as_samples(signals, name="signals"), as_samples(codes, name="codes")
    units = as_samples(getattr(dictionary, "components", dictionary), name="units of the dictionary")
    if signals.shape != (len(codes), units.shape[1]) or codes.shape[1] != len(units):
        raise UsageError(f"codes {codes.shape} do not fit signals {signals.shape} and a dictionary {units.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        residual = signals - codes @ units
        total = 0.5 * np.einsum("ij,ij->i", residual, residual) + sparsity * np.abs(codes).sum(axis=1)
        if prediction and target is not None:
            gap = codes - as_samples(target, name="target", n_features=len(units))
            total += 0.5 * prediction * np.einsum("ij,ij->i", gap, gap)
    if not np.isfinite(total).all():
        raise UsageError("signals, codes or dictionary are so large that the energy is infinite; scale them down")
    return np.asarray(total.astype(signals.dtype, copy=False))
