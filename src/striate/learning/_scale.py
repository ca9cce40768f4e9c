"""The scale of the data, and samples divided by it, for data of any magnitude that their type can hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from striate.errors import UsageError

__all__ = ["at_scale", "centered", "deviation_of"]

_ROUNDINGS = 8  # rounding units of the largest number; with a smaller deviation the data count as constant

Center = Callable[[np.ndarray], np.ndarray]


def centered(samples: np.ndarray) -> np.ndarray:
    """Samples without their own means."""
    return samples - samples.mean(axis=1, keepdims=True)


def at_scale(samples: np.ndarray, scale: float, center: Center | None) -> np.ndarray:
    """Samples, centered and divided by a scale, in a new array of the same dtype.

    Parameters
    ----------
    samples : float32 or float64 (n_samples, n_features)
        Finite.
    scale : float
        Above 0.
    center : callable, optional
        Returns samples without their centers, in a new array.

    Raises
    ------
    UsageError
        If a sample is so much larger than the scale that its code cannot be computed.
    """
    dtype = samples.dtype
    limits = np.finfo(dtype)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        if limits.tiny <= scale <= 1 / float(limits.tiny):
            factor = dtype.type(1 / scale)
            scaled = samples * factor if center is None else center(samples) * factor
            if np.isfinite(np.vdot(scaled, scaled)):
                return scaled
        wide = samples.astype(np.float64)
        wide = wide if center is None else center(wide)
        wide /= scale
        wrong = ~(np.abs(wide).max(axis=1, initial=0.0) < math.sqrt(limits.max) / 1e3)
    if wrong.any():
        raise UsageError(
            f"sample {int(wrong.argmax())} is too large for the scale of the training samples ({scale:.3g}): "
            "bring the data to one scale"
        )
    return wide.astype(dtype)


def deviation_of(parts: Callable[[], Iterable[np.ndarray]], center: Center | None) -> float:
    """Root mean square of all numbers of centered samples: a scale above 0, even if the data are constant.

    Parameters
    ----------
    parts : callable
        Returns all samples, some rows at a time, float32 or float64 and finite; it is called more than once.
    center : callable, optional
        As in `at_scale`.

    Raises
    ------
    UsageError
        If the numbers are so large that their deviation cannot be computed.
    """
    size, squares, largest = 0, 0.0, 0.0
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for part in parts():
            size += part.size
            squares += float(np.square(part if center is None else center(part)).sum(dtype=np.float64))
            largest = max(largest, float(part.max()), -float(part.min()))
        deviation = math.sqrt(squares / size)
        limits = np.finfo(part.dtype)
        # If squares overflow or underflow, compute again with the data scaled to about 1.
        if not math.sqrt(limits.tiny / limits.eps) < deviation < math.sqrt(limits.max) / 1e3:
            exponent = math.frexp(largest)[1]
            squares = 0.0
            for part in parts():
                wide = part.astype(np.float64)
                squares += float(np.square(np.ldexp(wide if center is None else center(wide), -exponent)).sum())
            if not squares < math.inf:
                raise UsageError(f"the data go up to {largest:.3g}, which is too large to compute with: scale them")
            deviation = math.ldexp(math.sqrt(squares / size), exponent)
    if center is not None and deviation <= _ROUNDINGS * float(limits.eps) * largest:
        return largest or 1.0
    return deviation or 1.0
