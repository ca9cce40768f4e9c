"""The exponential function of float32, and a ratio, in forms that let the loops around them vectorize."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from striate.kernels.compiling import inlined

__all__ = ["FAR", "exponential", "ratio"]

# exp(r) for |r| ≤ ½ log 2, within 1e-7 (Cephes' expf).
_P0, _P1, _P2, _P3, _P4, _P5 = (
    np.float32(p) for p in (1.9875691e-4, 1.3981999e-3, 8.3334519e-3, 4.1665796e-2, 1.6666667e-1, 0.5)
)
_ONE, _HALF = np.float32(1), np.float32(0.5)
FAR = np.float32(87)
"""Beyond ± this, a float32 has no normal reciprocal."""
# log 2 as a sum of two parts; products of the first one with whole numbers are exact.
_LOG2, _REST, _PER_LOG2 = np.float32(0.693359375), np.float32(-2.1219444e-4), np.float32(1.442695)


@intrinsic
def _emitted_power_of_two(typing: Any, n: Any) -> Any:
    """2ⁿ for a whole float32 n from −126 to 127: its bits, without a call that would keep a loop from vectorizing."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole = ir.IntType(32)
        exponent = builder.add(builder.fptosi(arguments[0], whole), ir.Constant(whole, 127))
        return builder.bitcast(builder.shl(exponent, ir.Constant(whole, 23)), ir.FloatType())

    return types.float32(types.float32), emit


@intrinsic
def _emitted_ratio(typing: Any, a: Any, b: Any) -> Any:
    """a/b without Python's check for 0."""
    return a(a, a), lambda context, builder, signature, arguments: builder.fdiv(*arguments)


def _plain_power_of_two(n: Any) -> Any:
    return np.float32(2.0 ** float(n))


def _plain_ratio(a: Any, b: Any) -> Any:
    return a / b


_plain = bool(numba.config.DISABLE_JIT)  # type: ignore[attr-defined]
_power_of_two: Callable[..., Any] = _plain_power_of_two if _plain else _emitted_power_of_two
ratio: Callable[..., Any] = _plain_ratio if _plain else _emitted_ratio


@inlined
def exponential(x: Any) -> Any:
    """exp(x) of a float32 from −`FAR` to `FAR`, with a relative error of at most 2e-7; NaN stays NaN."""
    n = np.float32(np.floor(_HALF + x * _PER_LOG2))
    r = x - n * _LOG2 - n * _REST
    series = ((((_P0 * r + _P1) * r + _P2) * r + _P3) * r + _P4) * r + _P5
    return (series * r * r + r + _ONE) * _power_of_two(n)
