"""Vector loops over a window of an image: its product with a filter, and the filter's multiples added to it.

A window is `n_runs` runs of `n` numbers in a flat array, `stride` numbers apart; a filter is as many runs without gaps,
padded with zeros to whole vectors (`LANES`), so that a loop has no remainder and the numbers that a window's padding
covers do not change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types

from striate.kernels.vectors import Vectors, constant, loop, pointer, primitive

__all__ = ["add_to_window", "add_weighted_to_window", "window_product"]

_TOGETHER = 4  # runs whose sums are in registers at a time: one chain of additions would wait for each


def _window(x: np.ndarray, x_at: int, stride: int, n: int, n_runs: int) -> np.ndarray:
    """The window as an array (n_runs, n) that shares the memory."""
    step = x.strides[0]
    return np.lib.stride_tricks.as_strided(x[x_at:], (n_runs, n), (stride * step, step))


def _window_product(x: np.ndarray, x_at: int, stride: int, f: np.ndarray, f_at: int, n: int, n_runs: int) -> Any:
    """The inner product of a window of x with a filter."""
    of_filter = f[f_at : f_at + n_runs * n].reshape(n_runs, n)
    return x.dtype.type((_window(x, x_at, stride, n, n_runs) * of_filter).sum())


@primitive(_window_product)
def window_product(typing: Any, x: Any, x_at: Any, stride: Any, f: Any, f_at: Any, n: Any, n_runs: Any) -> Any:
    """The inner product of a window of x with a filter."""

    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        image, image_at, distance, flat, flat_at, length, runs = arguments
        vectors = Vectors(context, builder, x.dtype)
        image, flat = pointer(context, builder, x, image, image_at), pointer(context, builder, f, flat, flat_at)

        def group(n_together: int) -> Callable[..., list[Any]]:
            def body(first: Any, sums: list[Any]) -> list[Any]:
                numbers = [builder.add(first, constant(r)) for r in range(n_together)]
                here = [builder.gep(image, [builder.mul(number, distance)]) for number in numbers]
                there = [builder.gep(flat, [builder.mul(number, length)]) for number in numbers]

                def add(i: Any, sums: list[Any]) -> list[Any]:
                    new = list(sums)
                    for r in range(n_together):
                        a, b = (vectors.load(builder.gep(place[r], [i])) for place in (here, there))
                        new[r] = vectors.multiply_add(a, b, sums[r])
                    return new

                return list(loop(builder, constant(0), length, vectors.length, sums, add))

            return body

        whole = builder.mul(builder.sdiv(runs, constant(_TOGETHER)), constant(_TOGETHER))
        sums = loop(builder, constant(0), whole, _TOGETHER, [vectors.zero] * _TOGETHER, group(_TOGETHER))
        sums = loop(builder, whole, runs, 1, list(sums), group(1))
        while len(sums) > 1:
            sums = [builder.fadd(a, b) for a, b in zip(sums[::2], sums[1::2], strict=True)]
        return vectors.reduce(sums[0], builder.fadd)

    integer = types.int64
    return x.dtype(x, integer, integer, f, integer, integer, integer), emit


def _add_to_window(
    x: np.ndarray, x_at: int, stride: int, a: float, f: np.ndarray, f_at: int, n: int, n_runs: int
) -> None:
    """Add a times a filter to a window of x."""
    _window(x, x_at, stride, n, n_runs)[:] += a * f[f_at : f_at + n_runs * n].reshape(n_runs, n)


@primitive(_add_to_window)
def add_to_window(typing: Any, x: Any, x_at: Any, stride: Any, a: Any, f: Any, f_at: Any, n: Any, n_runs: Any) -> Any:
    """Add a times a filter to a window of x."""
    integer = types.int64
    return types.void(x, integer, integer, x.dtype, f, integer, integer, integer), _addition(x, f, None)


def _add_weighted_to_window(
    x: np.ndarray, x_at: int, stride: int, a: float, f: np.ndarray, f_at: int, n: int, n_runs: int, w: np.ndarray
) -> None:
    """Add a times a filter to a window of x, each number times its weight, which is at the same place of w."""
    weights = _window(w, x_at, stride, n, n_runs)
    _window(x, x_at, stride, n, n_runs)[:] += a * f[f_at : f_at + n_runs * n].reshape(n_runs, n) * weights


@primitive(_add_weighted_to_window)
def add_weighted_to_window(
    typing: Any, x: Any, x_at: Any, stride: Any, a: Any, f: Any, f_at: Any, n: Any, n_runs: Any, w: Any
) -> Any:
    """Add a times a filter to a window of x, each number times its weight, which is at the same place of w."""
    integer = types.int64
    return types.void(x, integer, integer, x.dtype, f, integer, integer, integer, w), _addition(x, f, w)


def _addition(x: Any, f: Any, w: Any) -> Callable[..., Any]:
    """Emit the loops that add a times a filter to a window of x, times weights if `w` is their type and not None."""

    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        image, image_at, distance, factor, flat, flat_at, length, runs, *weights = arguments
        vectors = Vectors(context, builder, x.dtype)
        image, flat = pointer(context, builder, x, image, image_at), pointer(context, builder, f, flat, flat_at)
        weights = [pointer(context, builder, w, each, image_at) for each in weights]
        factors = vectors.repeat(factor)

        def run(r: Any, _: Any) -> list[Any]:
            row = builder.mul(r, distance)
            here, there = builder.gep(image, [row]), builder.gep(flat, [builder.mul(r, length)])
            beside = [builder.gep(each, [row]) for each in weights]

            def add(i: Any, _: Any) -> list[Any]:
                to = builder.gep(here, [i])
                value = vectors.load(builder.gep(there, [i]))
                for each in beside:
                    value = builder.fmul(value, vectors.load(builder.gep(each, [i])))
                vectors.store(vectors.multiply_add(factors, value, vectors.load(to)), to)
                return []

            loop(builder, constant(0), length, vectors.length, [], add)
            return []

        loop(builder, constant(0), runs, 1, [], run)
        return context.get_dummy_value()

    return emit
