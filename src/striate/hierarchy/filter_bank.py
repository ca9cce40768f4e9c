"""The filter bank: convolution, then a point-wise non-linearity, then a gain a map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.hierarchy._layer import Maps, Shape, window_positions

# Columns of one tile, in floats: 2 MB. A tile is written once and read once by the matrix product; larger tiles
# fall out of the cache in between, smaller ones make products too small for BLAS.
TILE = 1 << 19

Nonlinearity = Literal["tanh", "shrink"]


@dataclass(frozen=True, eq=False)
class FilterBank:
    """``gain · f(filters ∗ maps + bias)``: the encoder of PSD run over an image (``F_CSG`` of Jarrett et al. 2009).

    Without filters it is a place in an architecture that `learn_filters` fills. Filters are correlated with the
    maps (not flipped), at the positions where they fit entirely.

    Cost: ``2 · n_maps · fan_in · height · width`` flops a position. Each tile of output rows is one matrix product
    of the filters with the columns under them, bound by BLAS (about 150 Gflop/s on two cores); building the columns
    moves ``fan_in · height · width`` floats a position, an eighth of the time or less from 64 filters on. A sparse
    connection table makes one product for each set of input maps that share their outputs, so that absent
    connections cost nothing: 256 maps that see 16 of 64 take about a third of the dense bank's time (a quarter of
    its flops, and the sums are added once an input map).

    Parameters
    ----------
    n_maps : int
        Number of filters, and of feature maps that come out.
    size : (int, int)
        Height and width of a filter in pixels.
    fan_in : int or None
        Number of input maps that each output map sees; None: all.
    nonlinearity : "tanh" or "shrink"
        "shrink" is soft thresholding, ``sign(a)·max(|a| − threshold, 0)``.
    filters : float32 (n_maps, fan_in, height, width), optional
    bias, gain : float32 (n_maps,), optional
    threshold : float32 (n_maps,), optional
        Of "shrink" only.
    table : int64 (n_maps, fan_in), optional
        The input maps that each output map sees, ascending; None: all, in order.

    References
    ----------
    Jarrett, Kavukcuoglu, Ranzato, LeCun, *What is the best multi-stage architecture for object recognition?*,
    ICCV 2009, section 2.
    """

    n_maps: int
    size: tuple[int, int]
    fan_in: int | None = None
    nonlinearity: Nonlinearity = "tanh"
    filters: NDArray[np.float32] | None = None
    bias: NDArray[np.float32] | None = None
    gain: NDArray[np.float32] | None = None
    threshold: NDArray[np.float32] | None = None
    table: NDArray[np.int64] | None = None
    _products: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = field(
        init=False, repr=False, default_factory=list
    )

    kind: ClassVar[str] = "filter_bank"

    def __post_init__(self) -> None:
        if self.filters is None:
            return
        expected = (self.n_maps, self.filters.shape[1], *self.size)
        if self.filters.shape != expected or (self.table is not None and self.table.shape != expected[:2]):
            raise UsageError(
                f"filters of shape {self.filters.shape} do not fit a bank of {self.n_maps} maps of {self.size}: "
                f"give (n_maps, fan_in, height, width), and a table of (n_maps, fan_in)."
            )
        object.__setattr__(self, "_products", _plan(self.filters, self.table))

    @property
    def notation(self) -> str:
        """In the papers' notation, e.g. ``64F9x9``; ``256F9x9:16`` sees 16 maps each; ``S`` marks shrinkage."""
        seen = "" if self.fan_in is None else f":{self.fan_in}"
        return f"{self.n_maps}F{self.size[0]}x{self.size[1]}{seen}{'S' if self.nonlinearity == 'shrink' else ''}"

    def output_shape(self, shape: Shape) -> Shape:
        """``(n_maps, height, width)`` that come out for the same that go in."""
        n_inputs, height, width = shape
        if self.fan_in is not None and self.fan_in > n_inputs:
            raise UsageError(f"{self.notation} sees {self.fan_in} maps each, but only {n_inputs} come in.")
        return (
            self.n_maps,
            window_positions(height, self.size[0], 1, self.notation),
            window_positions(width, self.size[1], 1, self.notation),
        )

    def with_filters(
        self,
        filters: NDArray[np.float32],
        *,
        bias: NDArray[np.float32] | None = None,
        gain: NDArray[np.float32] | None = None,
        threshold: NDArray[np.float32] | None = None,
        table: NDArray[np.int64] | None = None,
    ) -> FilterBank:
        """The same bank with these parameters."""
        return replace(self, filters=filters, bias=bias, gain=gain, threshold=threshold, table=table)

    def apply(self, maps: Maps) -> Maps:
        """Filter a stack of maps.

        Parameters
        ----------
        maps : float32 (n_inputs, height, width, n_images)

        Returns
        -------
        float32 (n_maps, new_height, new_width, n_images)
        """
        if self.filters is None:
            raise UsageError(f"{self.notation} has no filters yet: learn them, or give them, before applying it.")
        n_inputs, height, width, n_images = maps.shape
        _, new_height, new_width = self.output_shape((n_inputs, height, width))
        if self.table is None and n_inputs != self.filters.shape[1]:
            raise UsageError(f"{self.notation} was made for {self.filters.shape[1]} maps, but {n_inputs} come in.")
        kernel_height, kernel_width = self.size
        maps = np.ascontiguousarray(maps, dtype=np.float32)
        steps = maps.strides
        windows = np.lib.stride_tricks.as_strided(
            maps,
            (n_inputs, kernel_height, kernel_width, new_height, new_width, n_images),
            (steps[0], steps[1], steps[2], steps[1], steps[2], steps[3]),
            writeable=False,
        )
        widest = max(len(inputs) for inputs, _, _ in self._products)
        row = widest * kernel_height * kernel_width * new_width * n_images
        n_rows = max(1, min(new_height, TILE // row))
        columns = np.empty(n_rows * row, dtype=np.float32)
        result = np.empty((self.n_maps, new_height, new_width, n_images), dtype=np.float32)
        for top in range(0, new_height, n_rows):
            bottom = min(top + n_rows, new_height)
            n_positions = (bottom - top) * new_width * n_images
            tile = np.empty((self.n_maps, n_positions), dtype=np.float32)
            for number, (inputs, outputs, weights) in enumerate(self._products):
                under = columns[: weights.shape[1] * n_positions].reshape(
                    len(inputs), kernel_height, kernel_width, bottom - top, new_width, n_images
                )
                np.copyto(under, windows[_as_slice(inputs), :, :, top:bottom])
                under = under.reshape(weights.shape[1], n_positions)
                if len(outputs) == self.n_maps and number == 0:
                    np.matmul(weights, under, out=tile)
                else:
                    if number == 0:
                        tile[:] = 0.0
                    tile[outputs] += weights @ under
            self._activate(tile)
            result[:, top:bottom] = tile.reshape(self.n_maps, bottom - top, new_width, n_images)
        return result

    def _activate(self, tile: NDArray[np.float32]) -> None:
        """Bias, non-linearity and gain, in place, while the tile is in the cache; ``tile`` (n_maps, n_positions)."""
        if self.bias is not None:
            tile += self.bias[:, None]
        if self.nonlinearity == "tanh":
            np.tanh(tile, out=tile)
        else:
            threshold = 0.0 if self.threshold is None else self.threshold[:, None]
            tile -= np.clip(tile, -threshold, threshold)
        if self.gain is not None:
            tile *= self.gain[:, None]

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and JSON for the model file."""
        names = ("filters", "bias", "gain", "threshold", "table")
        arrays = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        header = {
            "n_maps": self.n_maps,
            "size": list(self.size),
            "fan_in": self.fan_in,
            "nonlinearity": self.nonlinearity,
        }
        return arrays, header

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> FilterBank:
        """The inverse of `to_state`."""
        return cls(
            n_maps=header["n_maps"],
            size=(header["size"][0], header["size"][1]),
            fan_in=header["fan_in"],
            nonlinearity=header["nonlinearity"],
            **{name: np.asarray(array) for name, array in arrays.items()},
        )


def connection_sets(
    n_sets: int, n_inputs: int, fan_in: int, *, random_state: int | np.random.Generator | None = None
) -> NDArray[np.int64]:
    """Random sets of input maps for a sparse connection table, every input map used equally often (nearly).

    Output maps that share a set share one matrix product, and their filters can be learned together;
    ``np.repeat(sets, n_maps // n_sets, axis=0)`` is a table for `FilterBank`. The paper's table gives each of 256 maps
    its own 16 of 64: ``n_sets = 256``.

    Returns
    -------
    int64 (n_sets, fan_in), ascending in each row
    """
    if not 1 <= fan_in <= n_inputs:
        raise UsageError(f"each map can see 1 to {n_inputs} of the {n_inputs} maps that come in, not {fan_in}.")
    rng = np.random.default_rng(random_state)
    uses = np.zeros(n_inputs)
    sets = np.empty((n_sets, fan_in), dtype=np.int64)
    for chosen in sets:
        chosen[:] = np.sort(np.argsort(uses + rng.random(n_inputs))[:fan_in])  # least used first, ties at random
        uses[chosen] += 1
    return sets


def _plan(
    filters: NDArray[np.float32], table: NDArray[np.int64] | None
) -> list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]]:
    """The matrix products: input maps, output maps, weights ``(n_outputs, n_inputs · height · width)``.

    Input maps that feed the same outputs share a product; a full table is one product of everything.
    """
    n_maps, fan_in = filters.shape[:2]
    if table is None:
        return [(np.arange(fan_in), np.arange(n_maps), np.ascontiguousarray(filters.reshape(n_maps, -1)))]
    seen_by: dict[tuple[int, ...], list[int]] = {}
    for source in np.unique(table):
        seen_by.setdefault(tuple(np.flatnonzero((table == source).any(axis=1)).tolist()), []).append(int(source))
    products = []
    for outputs, sources in seen_by.items():
        rows = np.array(outputs)
        places = np.stack([np.argmax(table[rows] == source, axis=1) for source in sources], axis=1)
        weights = filters[rows[:, None], places].reshape(len(rows), -1)
        products.append((np.array(sources), rows, np.ascontiguousarray(weights)))
    return products


def _as_slice(indices: NDArray[np.int64]) -> slice | NDArray[np.int64]:
    """A slice where the indices are consecutive, so that indexing with them copies nothing."""
    first, last = int(indices[0]), int(indices[-1])
    return slice(first, last + 1) if last - first + 1 == len(indices) else indices
