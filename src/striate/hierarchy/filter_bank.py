"""The filter bank: convolution, then a point-wise non-linearity, then a gain per map."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.hierarchy._checks import LARGEST_SIDE, MOST_MAPS, check_layer, layer_array, window_positions
from striate.hierarchy._stage import FilterPlan, run_stage, taken_in
from striate.hierarchy.layer import SHOWN, Layer, LearnedStage, Maps, Operations, Shape, Source, Step, register_layer
from striate.parameters import Choice, Integer, IntegerTuple, parameter
from striate.stored import array, field

Nonlinearity = Literal["tanh", "shrink", "smooth shrink"]

_RULES = {
    "n_maps": Integer(low=1, high=MOST_MAPS),
    "size": IntegerTuple(2, low=1, high=LARGEST_SIDE),
    "fan_in": Integer(low=1, high=MOST_MAPS) | None,
    "nonlinearity": Choice("tanh", "shrink", "smooth shrink"),
}
_MARKS: dict[Nonlinearity, str] = {"tanh": "", "shrink": "S", "smooth shrink": "SS"}  # after the size, in the notation
# What each map has in addition to its filter, and its value where it is left out.
_OF_A_MAP = {"bias": 0, "gain": 1, "threshold": 0, "beta": 1}
_OWN: dict[Nonlinearity, tuple[str, ...]] = {
    "tanh": ("bias", "gain"),
    "shrink": ("bias", "gain", "threshold"),
    "smooth shrink": ("bias", "gain", "threshold", "beta"),
}
# Bounds of smooth shrinkage. With a smaller β, float32 numbers lose the difference between shrinkage and none.
_LEAST = {"threshold": 0.0, "beta": 0.01}
_SHRINKING_SPARSITY = 0.5  # see `learn`
# The encoders of learners whose nonlinearity is that of a bank.
_ENCODERS: dict[Nonlinearity, str] = {"tanh": "tanh", "shrink": "shrinkage", "smooth shrink": "smooth shrinkage"}
# Sets of input maps in a sparse connection table: few enough that the filters of a set are learned together. Filters
# that are not learned have a set each, as in the paper: with 8 sets, two random stages are right on Caltech-101 by 2
# points less (validation).
_CONNECTION_SETS = 8
# Patches from which the scale of filters is computed if they are not learned.
_ENOUGH_FOR_SCALE = 2000
_MOST_WEIGHTS = 1 << 28  # numbers in all filters together: 1 GB


@register_layer
@dataclass(frozen=True, eq=False)
class FilterBank(Layer):
    """``gain · f(filters ∗ maps + bias)``: the encoder of PSD at all positions (``F_CSG`` of Jarrett et al. 2009).

    Without filters it is only part of an architecture; `learn_filters` learns them. Filters are correlated with the
    maps (not flipped), at all positions where they fit entirely.

    Cost: ``2 · n_maps · fan_in · height · width`` flops per position, bound by arithmetic: 64 filters of 9×9 on 143×143
    take about 1 ms on a core with AVX-512, and their tanh another 1 ms. Maps that share a set of inputs in the
    connection table are filtered together, and absent connections cost nothing. When hardly any maps share a set, as
    in the paper's table of 256 sets, absent connections are zeros of a dense bank (see `FilterPlan`).

    Parameters
    ----------
    n_maps : int
        Number of filters and of output maps.
    size : (int, int)
        Height and width of a filter in pixels.
    fan_in : int or None
        Number of inputs of each output map; None means all input maps.
    nonlinearity : "tanh", "shrink" or "smooth shrink"
        "shrink" is soft thresholding, ``sign(a)·max(|a| − threshold, 0)``. "smooth shrink" rounds its kink and is
        ``sign(a)·(log(exp(β·threshold) + exp(β|a|) − 1)/β − threshold)``, with the slope exp(−β·threshold) at 0.
    filters : float32 (n_maps, fan_in, height, width), optional
    bias, gain : float32 (n_maps,), optional
    threshold : float32 (n_maps,), optional
        For "shrink" and "smooth shrink"; for the latter at least 0.
    beta : float32 (n_maps,), optional
        Sharpness of the kink, for "smooth shrink" only; at least 0.01.
    table : int64 (n_maps, fan_in), optional
        The inputs of each output map, ascending; None means all input maps, in order.

    References
    ----------
    Jarrett, Kavukcuoglu, Ranzato, LeCun, *What is the best multi-stage architecture for object recognition?*,
    ICCV 2009, section 2. Smooth shrinkage: Kavukcuoglu, Sermanet, Boureau, Gregor, Mathieu, LeCun, *Learning
    convolutional feature hierarchies for visual recognition*, NIPS 2010, equation 7.
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
    beta: NDArray[np.float32] | None = None
    kind: ClassVar[str] = "filter_bank"
    grammar: ClassVar[str] = (
        r"(?P<n>[0-9]+)F(?P<height>[0-9]+)x(?P<width>[0-9]+)(?::(?P<fan_in>[0-9]+))?(?P<mark>S{0,2})"
    )
    examples: ClassVar[str] = (
        "64F9x9 (64 filters of 9x9; 256F9x9:16 when each sees 16 maps; S after it for shrinkage, SS if it is smooth)"
    )
    drawn_as: ClassVar[Literal["fixed", "learned"]] = "learned"

    def __post_init__(self) -> None:
        check_layer(self, _RULES)
        if self.filters is None:
            return
        shape, table = np.shape(self.filters), np.shape(self.table) if self.table is not None else None
        if len(shape) != 4 or shape != (self.n_maps, shape[1], *self.size) or table not in (None, shape[:2]):
            raise UsageError(
                f"filters of shape {shape} do not fit a bank of {self.n_maps} maps of {self.size}: "
                f"give (n_maps, fan_in, height, width), and a table of (n_maps, fan_in)."
            )
        object.__setattr__(self, "filters", layer_array("filters", self.filters, shape, np.float32))
        for name in _OF_A_MAP:
            if (values := getattr(self, name)) is not None:
                object.__setattr__(self, name, layer_array(name, values, (self.n_maps,), np.float32))
        self._check_positive()
        if self.table is not None:
            object.__setattr__(self, "table", layer_array("the table", self.table, shape[:2], np.int64))
            if self.table.size and self.table.min() < 0:
                raise UsageError(f"the table names input map {self.table.min()}: maps are numbered from 0")

    def _check_positive(self) -> None:
        if self.nonlinearity != "smooth shrink":
            return
        for name, least in _LEAST.items():
            if (values := getattr(self, name)) is not None and values.min() < least:
                raise UsageError(f"{name} of smooth shrinkage is {values.min():.3g}; it must be at least {least}")

    def __repr__(self) -> str:
        seen = "" if self.fan_in is None else f", each on {self.fan_in:,} maps"
        learned = "" if self.is_learned else ", not learned yet"
        height, width = self.size
        return f"FilterBank({self.n_maps:,} filters of {height}×{width}{seen}, {self.nonlinearity}{learned})"

    @cached_property
    def plan(self) -> FilterPlan:
        """The filters in the layout of the kernels."""
        if self.filters is None:
            raise UsageError(f"{self.notation} has no filters yet: learn them, or give them, before applying it.")
        return FilterPlan(
            self.filters,
            self.bias,
            self.gain,
            self.threshold,
            self.beta,
            self.table,
            nonlinearity=self.nonlinearity,
        )

    @property
    def notation(self) -> str:
        """The papers' notation, e.g. ``64F9x9``; ``256F9x9:16`` with 16 inputs per filter; see `_MARKS`."""
        seen = "" if self.fan_in is None else f":{self.fan_in}"
        return f"{self.n_maps}F{self.size[0]}x{self.size[1]}{seen}{_MARKS[self.nonlinearity]}"

    @property
    def words(self) -> str:
        """Its name in a report."""
        return f"{self.n_maps} filters of {self.size[0]}×{self.size[1]}, {_ENCODERS[self.nonlinearity]}"

    @classmethod
    def from_notation(cls, match: re.Match[str]) -> FilterBank:
        """See `Layer.from_notation`."""
        return cls(
            n_maps=int(match["n"]),
            size=(int(match["height"]), int(match["width"])),
            fan_in=int(match["fan_in"]) if match["fan_in"] else None,
            nonlinearity=next(name for name, mark in _MARKS.items() if mark == match["mark"]),
        )

    @property
    def is_learned(self) -> bool:
        """Whether it has filters."""
        return self.filters is not None

    @property
    def drawn_filters(self) -> NDArray[np.float32] | None:
        """Its filters."""
        return self.filters

    def output_shape(self, shape: Shape) -> Shape:
        """``(n_maps, height, width)`` of the output, for that of the input."""
        n_inputs, height, width = shape
        if self.fan_in is not None and self.fan_in > n_inputs:
            raise UsageError(f"{self.notation} sees {self.fan_in} maps each, but only {n_inputs} come in.")
        if self.filters is not None and self.table is None and n_inputs != self.filters.shape[1]:
            raise UsageError(f"{self.notation} was made for {self.filters.shape[1]} maps, but {n_inputs} come in.")
        if self.table is not None and self.table.size and self.table.max() >= n_inputs:
            raise UsageError(f"{self.notation} sees map {self.table.max()}, but only {n_inputs} come in, from 0.")
        if self.n_maps * (self.fan_in or n_inputs) * self.size[0] * self.size[1] > _MOST_WEIGHTS:
            raise UsageError(
                f"{self.notation} on {n_inputs} maps has more than {_MOST_WEIGHTS:,} weights: "
                "take fewer or smaller filters, or write how many maps each sees, as in 256F9x9:16."
            )
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
        beta: NDArray[np.float32] | None = None,
        table: NDArray[np.int64] | None = None,
    ) -> FilterBank:
        """The same bank with these parameters."""
        return replace(self, filters=filters, bias=bias, gain=gain, threshold=threshold, beta=beta, table=table)

    def check_learnable(self, shape: Shape) -> None:
        """See `Layer.check_learnable`."""
        if self.size[0] != self.size[1]:
            side = max(self.size)
            square = replace(self, size=(side, side), filters=None, table=None)
            raise UsageError(f"cannot be learned, since patches are square: write {square.notation}")

    def learn(self, source: Source) -> LearnedStage:
        """Learn the filters with the learner of `learn_filters`, each set of a sparse connection table by itself.

        Of a learner with the encoder "tanh", the default, the encoder is replaced by that of the bank's nonlinearity.
        For shrinkage, its sparsity is lowered to 0.5 if it is higher: an encoder that predicts very sparse codes leaves
        little of an image. On 34 classes of Caltech-101 (validation, one stage by convolution), accuracy is 48 % with a
        sparsity of 2, 64 % with 0.5 and 63 % with 0.2, where tanh has 66 % with 2 and 65 % with 0.5. Give a learner
        with the encoder of the bank to choose both.

        Raises
        ------
        UsageError
            If the learner has another encoder, or filters for tanh alone.
        """
        from sklearn.base import clone

        from striate.learning import PSD, ConvolutionalPSD, TopographicPSD

        learner, n_inputs = source.learner, source.n_maps
        is_learned, sees_images = isinstance(learner, PSD | ConvolutionalPSD), isinstance(learner, ConvolutionalPSD)
        sets = np.arange(n_inputs)[None]
        if self.fan_in is not None and self.fan_in < n_inputs:
            n_sets = max(1, min(_CONNECTION_SETS, self.n_maps // 2)) if is_learned else self.n_maps
            if isinstance(learner, TopographicPSD):
                whole = replace(self, fan_in=None, filters=None, table=None)
                raise UsageError(f"{self.notation}: filters on one sheet see all maps: write {whole.notation}")
            sets = connection_sets(n_sets, n_inputs, self.fan_in, random_state=source.seed)
        n_patches = source.n_patches if is_learned else min(source.n_patches, _ENOUGH_FOR_SCALE)
        sizes = [len(part) for part in np.array_split(np.arange(self.n_maps), len(sets))]
        side, options = self.size[0], self._encoder_options(learner)
        if sees_images:
            side = min(clone(learner).set_params(kernel_size=side).crop_side, *source.size)
            n_patches = -(-n_patches * self.size[0] ** 2 // side**2)  # as many pixels as patches have
            options |= {"kernel_size": self.size[0], "crop": side}
        patches = source.draw(side, n_patches, source.min_std).reshape(-1, n_inputs, side, side)
        name = type(learner).__name__.removesuffix("Filters")
        learners: list[Any] = []
        for index, (seen, size) in enumerate(zip(sets, sizes, strict=True)):
            part = None if source.checkpoint is None else source.checkpoint.part(f"set-{index + 1}")
            of = f", set {index + 1} of {len(sets)}" if 1 < len(sets) <= _CONNECTION_SETS else ""
            seed = source.seed % 2**31 + index
            fresh = clone(learner).set_params(n_components=size, random_state=seed, **options)
            rows = patches if len(sets) == 1 else patches[:, seen]
            rows = rows if sees_images else rows.reshape(len(rows), -1)
            phase_name = f"{source.name}: {name} filters{of}"
            fresh.fit(rows, checkpoint=part, progress=source.progress, phase_name=phase_name)
            learners.append(fresh)
        found = [one.convolution_filters()._asdict() for one in learners]
        joined = {
            name: np.concatenate([each[name] for each in found]) for name in ("filters", *_OWN[self.nonlinearity])
        }
        joined["filters"] = joined["filters"].reshape(self.n_maps, sets.shape[1], *self.size)
        filled = self.with_filters(**joined, table=None if len(sets) == 1 else np.repeat(sets, sizes, axis=0))
        shown = patches[:SHOWN, sets[0], : self.size[0], : self.size[1]]
        return LearnedStage(filled, learners, shown.reshape(len(shown), -1).copy())

    def _encoder_options(self, learner: Any) -> dict[str, Any]:
        """The parameters of a learner of this bank that have to change for its nonlinearity."""
        wanted, encoder = _ENCODERS[self.nonlinearity], getattr(learner, "encoder", "tanh")
        kind = getattr(encoder, "kind", encoder)
        if kind == wanted:
            return {}
        if kind == "tanh" and hasattr(learner, "encoder"):
            return {"encoder": wanted, "sparsity": min(parameter(learner, "sparsity"), _SHRINKING_SPARSITY)}
        fitting = [replace(self, nonlinearity=own) for own, name in _ENCODERS.items() if name == kind]
        advice = f"write {fitting[0].notation}" if fitting else f'give the learner encoder="{wanted}"'
        raise UsageError(
            f"{self.notation} has the nonlinearity {wanted}, and {type(learner).__name__} has filters for {kind}: "
            f"{advice}"
        )

    def apply(self, maps: Maps) -> Maps:
        """``maps`` float32 (height, width, n_inputs) → (new_height, new_width, n_maps)."""
        return run_stage(maps, plan=self.plan)

    def as_step(self, following: Sequence[Layer]) -> tuple[Step, int]:
        """The bank, together with the following layers that its kernels can run."""
        options = taken_in(following)
        return partial(run_stage, plan=self.plan, **options), len(options)

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Filters, bias and gain, and the parameters of shrinkage."""
        if self.filters is None:
            raise UsageError(f"{self.notation} has no filters yet: learn them, or give them, before making its twin")
        held = {name: getattr(self, name) for name in _OWN[self.nonlinearity]}
        return {"filters": self.filters} | {
            name: np.full(self.n_maps, _OF_A_MAP[name], np.float32) if values is None else values
            for name, values in held.items()
        }

    def with_weights(self, weights: Mapping[str, NDArray[np.float32]]) -> FilterBank:
        """See `Layer.with_weights`; the connection table stays.

        Gradient steps may leave the bounds of smooth shrinkage; as in `twin`, the bound is taken instead.
        """
        bounds = _LEAST if self.nonlinearity == "smooth shrink" else {}
        bounded = {name: np.maximum(weights[name], np.float32(least)) for name, least in bounds.items()}
        return self.with_filters(**{**weights, **bounded}, table=self.table)

    @property
    def decayed_weights(self) -> frozenset[str]:
        """The filters."""
        return frozenset({"filters"})

    def twin(self, maps: Any, weights: Mapping[str, Any], operations: Operations) -> Any:
        """See `Layer.twin`."""
        sums = operations.correlate(maps, weights["filters"], weights["bias"], self.table)
        if self.nonlinearity == "shrink":
            squashed = operations.soft_threshold(sums, operations.per_map(weights["threshold"]))
        elif self.nonlinearity == "smooth shrink":
            threshold, beta = (
                operations.per_map(operations.maximum(weights[name], operations.constant(np.array(least), maps)))
                for name, least in _LEAST.items()
            )
            squashed = operations.smooth_threshold(sums, threshold, beta)
        else:
            squashed = operations.tanh(sums)
        return operations.per_map(weights["gain"]) * squashed

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and JSON for the model file."""
        names = ("filters", *_OF_A_MAP, "table")
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
        bank = cls(*(field(header, name) for name in ("n_maps", "size", "fan_in", "nonlinearity")))
        if not arrays:
            return bank
        filters = array(arrays, "filters", (bank.n_maps, bank.fan_in, *bank.size), "float32")
        own = {name: array(arrays, name, (bank.n_maps,), "float32") for name in _OF_A_MAP if name in arrays}
        if "table" in arrays:
            own["table"] = array(arrays, "table", filters.shape[:2], "int64")
        return bank.with_filters(filters, **own)


def connection_sets(
    n_sets: int, n_inputs: int, fan_in: int, *, random_state: int | np.random.Generator | None = None
) -> NDArray[np.int64]:
    """Random sets of input maps for a sparse connection table; each input map is used about equally often.

    Output maps that share a set are filtered together, and their filters can be learned together;
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
        chosen[:] = np.sort(np.argsort(uses + rng.random(n_inputs))[:fan_in])  # the least used, ties at random
        uses[chosen] += 1
    return sets
