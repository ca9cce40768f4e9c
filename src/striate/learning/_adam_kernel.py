"""Adam's update of one array in one pass; with millions of parameters, memory bandwidth limits a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from striate.kernels import compiled, compiler

__all__ = ["adam_kernel"]


@compiler("float32", "float64")
def adam_kernel(dtype: np.dtype) -> Callable[..., None]:
    """The kernel for float32 or float64; see `_update`."""
    real = dtype.name
    return compiled(_update, f"void({', '.join([f'{real}[::1]'] * 4 + [real] * 4)})")


def _update(
    parameter: Any, gradient: Any, first: Any, second: Any, first_share: Any, second_share: Any, epsilon: Any, rate: Any
) -> None:
    """Update both moments, then the parameter, in place."""
    for i in range(len(parameter)):
        slope = gradient[i]
        mean = first[i] + first_share * (slope - first[i])
        square = second[i] + second_share * (slope * slope - second[i])
        first[i] = mean
        second[i] = square
        parameter[i] -= rate * (mean / (np.sqrt(square) + epsilon))
