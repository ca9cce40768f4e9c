"""Smooth shrinkage of one number inside kernels: one exponential function, one logarithm, two divisions."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate.kernels.compiling import inlined
from striate.kernels.exponential import FAR, exponential, ratio

__all__ = ["inactive_share", "smoothly_shrunk"]

_ONE, _TWO, _ZERO = np.float32(1), np.float32(2), np.float32(0)
# artanh(t) = t·(1 + t²·Q(t²)) for t ≤ 1/3, within 1e-8: Q of least maximum error, coefficients rounded to float32.
_Q0, _Q1, _Q2, _Q3 = (np.float32(q) for q in (0.33333206, 0.2001085, 0.13999571, 0.14012233))


@inlined
def inactive_share(threshold: Any, beta: Any) -> Any:
    """exp(−β·threshold), the slope at 0, with the rounding that `smoothly_shrunk` needs in order to be 0 at 0."""
    corner = beta * threshold
    return exponential(-(FAR if corner > FAR else corner))


@inlined
def smoothly_shrunk(value: Any, threshold: Any, beta: Any, share: Any) -> Any:
    """sign(v)·(log(exp(βb) + exp(β|v|) − 1)/β − b) of float32 numbers, with the threshold b ≥ 0 and β > 0.

    With x = β|v|, c = βb and the share s = exp(−c), the parenthesis is max(x − c, 0)/β + log(1 + p)/β, where p is
    exp(−|x − c|)·(1 − s) for x > c, else exp(x − c) − s: nothing overflows. NaN stays NaN, infinity stays infinite.
    """
    beyond = abs(value) - threshold
    far = beta * abs(beyond)
    far = FAR if far > FAR else far  # in this order NaN stays NaN
    near = exponential(-far)
    p = near * (_ONE - share) if beyond > _ZERO else near - share
    t = ratio(p, _TWO + p)
    square = t * t
    logarithm = _TWO * t * (_ONE + square * (((_Q3 * square + _Q2) * square + _Q1) * square + _Q0))
    size = (beyond if beyond > _ZERO else _ZERO) + ratio(logarithm, beta)
    return size if value > _ZERO else -size
