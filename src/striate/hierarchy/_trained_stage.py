"""What follows the filters of a stage in training, with its slopes: two passes over the maps, and two more for slopes.

Maps here have the images first and the maps last: (n, height, width, n_maps), float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.hierarchy._separable import gaussian_matrix
from striate.hierarchy.filter_bank import FilterBank
from striate.hierarchy.layer import Layer
from striate.hierarchy.normalization import SIGMA_OVER_SIZE, LocalContrastNormalization
from striate.hierarchy.pooling import Pooling
from striate.hierarchy.rectification import Rectification
from striate.threads import n_threads, run_ranges

__all__ = ["Passed", "Together", "pass_back", "pass_on", "together"]

_WORTH_A_THREAD = 1 << 19  # numbers of maps
_TINY = np.finfo(np.float32).tiny  # below it, a variance has no root to divide by: that of a blank image

_diverging = np.errstate(over="ignore", invalid="ignore")  # training sees by its loss that it diverges

Numbers = NDArray[np.float32]


class Together(NamedTuple):
    """What follows tanh: the absolute value or not, the window of local normalization or none, averages."""

    rectify: bool
    window: int | None
    size: int
    stride: int


@dataclass
class Passed:
    """What the slopes need from the way forward; all but the tangents are one map per image."""

    how: Together
    gain: Numbers
    tangents: Numbers
    means: Numbers
    local: Numbers
    power: Numbers | None
    factors: Numbers


def together(layers: Sequence[Layer]) -> tuple[int, Together | None]:
    """How many of the first layers these functions compute, and how; 0 and None unless they are a bank and one more."""
    if type(layers[0]) is not FilterBank or layers[0].nonlinearity != "tanh":
        return 0, None
    found: dict[type, Any] = {}
    for kind in (Rectification, LocalContrastNormalization, Pooling):
        layer = layers[len(found) + 1] if len(found) + 1 < len(layers) else None
        if type(layer) is kind and getattr(layer, "how", "average") == "average":
            found[kind] = layer
    if not found:
        return 0, None
    normalize, pool = found.get(LocalContrastNormalization), found.get(Pooling)
    window = None if normalize is None else normalize.size
    size, stride = (1, 1) if pool is None else (pool.size, pool.stride)
    return len(found) + 1, Together(Rectification in found, window, size, stride)


@_diverging
def pass_on(responses: Numbers, bias: Numbers, gain: Numbers, how: Together) -> tuple[Numbers, Passed]:
    """Averages of the normalized maps, (n, rows, columns, n_maps).

    Parameters
    ----------
    responses : float32 (n, height, width, n_maps)
        Of the filters, without bias. They are overwritten: no convolution needs them for its slopes.
    bias, gain : float32 (n_maps,)
    how : Together
    """
    activate, average, *_ = _kernels()
    n, height, width, n_maps = responses.shape
    means, squares = np.empty((2, n, height, width), np.float32)
    _in_rows(lambda *rows: activate(*rows, responses, bias, gain, how.rectify, means, squares), responses)
    local: Numbers = np.zeros_like(means)
    factors: Numbers = np.ones_like(means)
    power: Numbers | None = None
    if how.window is not None:
        windows = _windows(means, how.window)
        local = _averaged(means, *windows)
        # Σ w (q − 2 g m + g²) with the means over maps m of x and q of x²: the maps are not needed.
        variances: Numbers = np.maximum(squares - local * (2 * means - local), np.float32(0))
        power = _averaged(variances, *windows)
        deviation, floor = _deviations(power)
        factors = np.reciprocal(np.maximum(deviation, floor))
    sides = [(side - how.size) // how.stride + 1 for side in (height, width)]
    made = np.empty((n, *sides, n_maps), np.float32)
    _in_rows(
        lambda *rows: average(*rows, responses, gain, how.rectify, local, factors, how.size, how.stride, made), made
    )
    return made, Passed(how, gain.copy(), responses, means, local, power, factors)


@_diverging
def pass_back(slopes: Numbers, passed: Passed) -> tuple[Numbers, Numbers, Numbers]:
    """The slopes of responses, biases and gains from those of the averages; the tangents of `passed` are overwritten.

    With the notation of `LocalContrastNormalization`, ``v = x − μ``, ``y = v / D`` and ``D = max(d, mean d)``, where μ
    and ``d² = W(mean v²)`` are one map each. For the slope g of y, that of x is ``g / D + v·s − t``, where s and t are
    one map each.
    """
    *_, slope_sums, slopes_of = _kernels()
    how, gain, tangents, local, factors = passed.how, passed.gain, passed.tangents, passed.local, passed.factors
    common = slopes, how.size, how.stride, tangents, gain, how.rectify
    linear, constant = np.zeros_like(local), np.zeros_like(local)
    if passed.power is not None:
        sums, products = np.empty_like(local), np.empty_like(local)
        _in_rows(lambda *rows: slope_sums(*rows, *common, sums, products), tangents)
        linear, constant = _slopes_of_normalization(passed, passed.power, sums, products)
    n, height, _, n_maps = tangents.shape
    of_gain, of_bias = np.empty((2, n * height, n_maps), np.float32)
    _in_rows(lambda *rows: slopes_of(*rows, *common, local, factors, linear, constant, of_gain, of_bias), tangents)
    return tangents, of_bias.sum(axis=0), of_gain.sum(axis=0)


def _slopes_of_normalization(
    passed: Passed, power: Numbers, sums: Numbers, products: Numbers
) -> tuple[Numbers, Numbers]:
    """The maps s and t of `pass_back`, from sums over maps of g and of g·x."""
    assert passed.how.window is not None
    rows, columns = _windows(sums, passed.how.window)
    n_maps, factors = passed.tangents.shape[3], passed.factors
    deviation, floor = _deviations(power)
    of_divisor = -(products - passed.local * sums) * factors * factors
    # Of two equal numbers, each has half of the slope, as torch has it for the maximum.
    share = ((deviation > floor).astype(np.float32) + (deviation >= floor)) / 2
    of_deviation = of_divisor * share + (of_divisor * (1 - share)).mean(axis=(1, 2), keepdims=True)
    root_slope = np.where(power >= _TINY, np.float32(0.5) / deviation, np.float32(0))
    linear = _averaged(root_slope * of_deviation, rows.T, columns.T) * np.float32(2 / n_maps)
    mean_slopes = sums * factors / np.float32(n_maps) + linear * (passed.means - passed.local)
    return linear, _averaged(mean_slopes, rows.T, columns.T)


def _windows(maps: Numbers, size: int) -> tuple[Numbers, Numbers]:
    """The matrices that average maps (n, height, width) along their columns and their rows."""
    rows, columns = (gaussian_matrix(length, size, size * SIGMA_OVER_SIZE) for length in maps.shape[1:])
    return rows, columns


def _averaged(maps: Numbers, rows: Numbers, columns: Numbers) -> Numbers:
    return np.ascontiguousarray(rows @ maps @ columns.T)


def _deviations(power: Numbers) -> tuple[Numbers, Numbers]:
    """The local deviation, and its mean over each image."""
    deviation = np.sqrt(np.maximum(power, _TINY))
    return deviation, deviation.mean(axis=(1, 2), keepdims=True)


def _in_rows(kernel: Callable[[int, int], object], maps: Numbers) -> None:
    """Run a kernel over the rows of all maps, in threads if it is worth while."""
    n = maps.shape[0] * maps.shape[1]
    threads = n_threads() if maps.size >= _WORTH_A_THREAD else 1
    run_ranges(kernel, n, size=max(1, -(-n // (1 if threads == 1 else 4 * threads))), n_threads=threads)


@cache
def _kernels() -> tuple[Any, ...]:
    from striate.hierarchy import _slope_kernels as kernels

    return (
        kernels.compile_activate(), kernels.compile_average(), kernels.compile_slope_sums(), kernels.compile_slopes(),
    )  # fmt: skip
