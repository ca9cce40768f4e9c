"""A dictionary of whitened patches: normalization, whitening, units and their response in one layer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.hierarchy._checks import LARGEST_SIDE, MOST_MAPS, check_layer, layer_array, window_positions
from striate.hierarchy._patch_plan import NOISE, FoldedUnits, run_patches
from striate.hierarchy.grid_pooling import GridPooling
from striate.hierarchy.layer import SHOWN, Layer, LearnedStage, Maps, Operations, Shape, Source, Step, register_layer
from striate.parameters import Choice, Integer, Real
from striate.stored import array, field

__all__ = ["PatchDictionary"]

Response = Literal["soft", "triangle"]
UnitLearner = Literal["kmeans", "random", "sparse", "psd", "omp"]

_THRESHOLD = 0.5
_RULES = {
    "n_units": Integer(low=1, high=MOST_MAPS),
    "size": Integer(low=2, high=LARGEST_SIDE),
    "step": Integer(low=1, high=LARGEST_SIDE),
    "response": Choice("soft", "triangle"),
    "threshold": Real(low=0, high=1e6),
    "learner": Choice(*get_args(UnitLearner)),
}
_PARAMETERS = tuple(_RULES)
_MOST_WEIGHTS = 1 << 28  # numbers in all filters together: 1 GB
_MOST_NUMBERS = 1 << 12  # in a patch: its whitening is a square matrix of this side


@register_layer
@dataclass(frozen=True, eq=False)
class PatchDictionary(Layer):
    """Responses of units to whitened patches at all positions (Coates et al. 2011).

    The mean of a patch, over all of its pixels and channels, is removed; it is divided by √(variance + 10/255²), for
    images of 0–1, so that the noise of flat patches is not amplified; and it is whitened: ``x = W(patch − μ)``, where
    W is ZCA with 0.1 added to the variances. With ``z = units · x``, the response of "soft" is
    ``max(z − threshold, 0)`` and ``max(−z − threshold, 0)``: first the maps of all units, then those of their
    negatives. That of "triangle" is how much nearer than average a unit is, ``max(mean distance − distance, 0)``, one
    map per unit.

    Whitening and means are folded into the filters, so that the layer is one convolution, a division by the patch's
    deviation and an offset per unit. `GridPooling` after it runs in the same pass, without storing the maps.

    Cost: ``2 · n_units · n_inputs · size²`` flops per position, bound by arithmetic: 800 units of 6×6 on a color image
    of 32×32 take about 1 ms on a core with AVX-512; the triangle also needs the whitened patch, as if there were
    n_inputs · size² more units.

    Parameters
    ----------
    n_units : int
    size : int
        Side of a patch in pixels; 6 suits thumbnails.
    step : int, default 1
        Pixels from one patch to the next.
    response : "soft" or "triangle"
    threshold : float, default 0.5
        Of "soft", for units of unit norm: the coordinates of whitened patches have a variance of about 1.
    learner : "kmeans", "random", "sparse", "psd" or "omp"
        How `learn_filters` finds the units: by K-means, as patches that are drawn at random, or as the dictionary of
        `SparseCoding`, `PSD` or, for "omp", `KSVD` with five active units. On small images they differ little, and
        K-means is the fastest that learns.
        K-means is spherical for "soft" (Coates and Ng 2012): a patch belongs to the unit that it resembles most, in
        either sign, and units have unit norm. For "triangle" it is the usual one.
    units : float32 (n_units, n_inputs · size²), optional
        In the whitened space.
    mean, whitening : float32 (n_inputs · size²,) and (n_inputs · size², n_inputs · size²), optional
        μ and W; given with the units.

    References
    ----------
    Coates, Lee, Ng, "An analysis of single-layer networks in unsupervised feature learning", AISTATS 2011; Coates, Ng,
    "The importance of encoding versus training with sparse coding and vector quantization", ICML 2011, for the
    two-sided soft threshold; Coates, Ng, "Learning feature representations with K-means", 2012.
    """

    n_units: int
    size: int
    step: int = 1
    response: Response = "soft"
    threshold: float = _THRESHOLD
    learner: UnitLearner = "kmeans"
    units: NDArray[np.float32] | None = None
    mean: NDArray[np.float32] | None = None
    whitening: NDArray[np.float32] | None = None
    kind: ClassVar[str] = "patch_dictionary"
    grammar: ClassVar[str] = (
        r"(?P<n>[0-9]+)WP(?P<size>[0-9]+)x(?P=size)(?:/(?P<step>[0-9]+))?"
        r"(?:(?P<triangle>T)|S(?P<threshold>[0-9]+(?:\.[0-9]+)?))?(?::(?P<learner>random|sparse|psd|omp))?"
    )
    examples: ClassVar[str] = (
        "800WP6x6 (800 units of whitened patches of 6x6; 800WP6x6/2 for every other position, S0.3 after it for "
        "another threshold, T for the triangle, :random, :sparse, :psd or :omp for another learner than K-means)"
    )
    drawn_as: ClassVar[Literal["fixed", "learned"]] = "learned"

    def __post_init__(self) -> None:
        check_layer(self, _RULES)
        if self.response == "triangle" and self.threshold != _THRESHOLD:
            raise UsageError("PatchDictionary: the triangle has no threshold; leave it out, or take 'soft'")
        if self.units is None:
            return
        if self.mean is None or self.whitening is None:
            raise UsageError("units of a PatchDictionary come with their mean and whitening: give all three")
        shape = np.shape(self.units)
        if len(shape) != 2 or shape[0] != self.n_units or not shape[1] or shape[1] % self.size**2:
            raise UsageError(
                f"units of shape {shape} do not fit {self.n_units} units of patches of {self.size}×{self.size}: "
                "give (n_units, channels · size²)"
            )
        for name, wanted in (("units", shape), ("mean", shape[1:]), ("whitening", (shape[1], shape[1]))):
            object.__setattr__(self, name, layer_array(name, getattr(self, name), wanted, np.float32))

    def __repr__(self) -> str:
        learned = "" if self.is_learned else ", not learned yet"
        return f"PatchDictionary({self.n_units:,} units of {self.size}×{self.size}, {self.response}{learned})"

    @cached_property
    def folded(self) -> FoldedUnits:
        """The filters that the whitening is folded into."""
        if self.units is None or self.mean is None or self.whitening is None:
            raise UsageError(f"{self.notation} has no units yet: learn them, or give them, before applying it.")
        return FoldedUnits(self.units, self.mean, self.whitening, self.size, triangle=self.response == "triangle")

    @property
    def notation(self) -> str:
        """E.g. ``800WP6x6``; with everything that differs from the defaults, ``800WP6x6/2S0.3:random``."""
        step = "" if self.step == 1 else f"/{self.step}"
        learner = "" if self.learner == "kmeans" else f":{self.learner}"
        response = "T" if self.response == "triangle" else ""
        if self.threshold != _THRESHOLD:
            response = f"S{np.format_float_positional(self.threshold, trim='-')}"
        return f"{self.n_units}WP{self.size}x{self.size}{step}{response}{learner}"

    @property
    def words(self) -> str:
        """Its name in a report."""
        every = "" if self.step == 1 else f", every {self.step}"
        return f"{self.n_units} units of whitened patches of {self.size}×{self.size}{every}"

    @classmethod
    def from_notation(cls, match: re.Match[str]) -> PatchDictionary:
        """See `Layer.from_notation`."""
        return cls(
            n_units=int(match["n"]),
            size=int(match["size"]),
            step=int(match["step"] or 1),
            response="triangle" if match["triangle"] else "soft",
            threshold=float(match["threshold"] or _THRESHOLD),
            learner=match["learner"] or "kmeans",  # type: ignore[arg-type]
        )

    @property
    def is_learned(self) -> bool:
        """Whether it has units."""
        return self.units is not None

    @property
    def spacing(self) -> int:
        """The step."""
        return self.step

    @property
    def drawn_filters(self) -> NDArray[np.float32] | None:
        """The patch that each unit stands for, before whitening, (n_units, n_inputs, size, size)."""
        if self.units is None or self.whitening is None:
            return None
        patches = np.linalg.solve(self.whitening.astype(np.float64), self.units.T.astype(np.float64)).T
        return patches.astype(np.float32).reshape(self.n_units, -1, self.size, self.size)

    def output_shape(self, shape: Shape) -> Shape:
        """``(n_maps, height, width)`` of the output, for that of the input."""
        n_inputs, height, width = shape
        n_numbers = n_inputs * self.size**2
        if self.units is not None and n_numbers != self.units.shape[1]:
            made_for = self.units.shape[1] // self.size**2
            raise UsageError(f"{self.notation} was made for {made_for} maps, but {n_inputs} come in.")
        if n_numbers > _MOST_NUMBERS or self.n_units * n_numbers > _MOST_WEIGHTS:
            raise UsageError(
                f"{self.notation} on {n_inputs} maps has patches of {n_numbers:,} numbers, too many to whiten "
                f"(at most {_MOST_NUMBERS:,}): take smaller patches or fewer maps."
            )
        rows, columns = (window_positions(length, self.size, self.step, self.notation) for length in (height, width))
        return (self.n_units if self.response == "triangle" else 2 * self.n_units, rows, columns)

    def with_units(
        self, units: NDArray[np.float32], mean: NDArray[np.float32], whitening: NDArray[np.float32]
    ) -> PatchDictionary:
        """The same layer with these parameters."""
        return replace(self, units=units, mean=mean, whitening=whitening)

    def apply(self, maps: Maps) -> Maps:
        """``maps`` float32 (height, width, n_inputs) → (new_height, new_width, n_maps)."""
        height, width, n_inputs = maps.shape
        self.output_shape((n_inputs, height, width))
        return self._step(None)(maps, 1)

    def as_step(self, following: Sequence[Layer]) -> tuple[Step, int]:
        """The layer, together with the pooling over a grid if that is next."""
        pool = following[0] if following and type(following[0]) is GridPooling else None
        return self._step(pool), int(pool is not None)

    def _step(self, pool: GridPooling | None) -> Step:
        return partial(run_patches, folded=self.folded, step=self.step, threshold=self.threshold, pool=pool)

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Units and mean in the whitened space, where all directions have about the same scale; whitening is fixed."""
        if self.units is None or self.mean is None:
            raise UsageError(f"{self.notation} has no units yet: learn them, or give them, before making its twin")
        return {"units": self.units, "mean": self.mean}

    def with_weights(self, weights: Mapping[str, NDArray[np.float32]]) -> PatchDictionary:
        """See `Layer.with_weights`."""
        return replace(self, units=weights["units"], mean=weights["mean"])

    @property
    def decayed_weights(self) -> frozenset[str]:
        """The units."""
        return frozenset({"units"})

    def twin(self, maps: Any, weights: Mapping[str, Any], operations: Operations) -> Any:
        """See `Layer.twin`."""
        # A constant leaves filters and variances as they are, and makes the variances' rounding errors smaller.
        maps = maps - operations.local_mean(operations.mean_over_image(maps), 1, 1.0)
        assert self.whitening is not None
        units, n_numbers = weights["units"], self.whitening.shape[1]
        whitening = operations.constant(self.whitening, maps)
        box = operations.constant(np.full((1, n_numbers), 1 / n_numbers), maps)

        def as_filters(rows: Any) -> Any:
            return rows.reshape(len(rows), -1, self.size, self.size)

        def on_patches(maps: Any, rows: Any) -> Any:
            return operations.correlate(maps, as_filters(rows), 0 * rows[:, 0], None, stride=self.step)

        mean, square = on_patches(maps, box), on_patches(maps * maps, box)
        deviation = operations.root(operations.maximum(square - mean * mean, 0 * mean) + NOISE)

        def on_normalized(rows: Any) -> Any:  # as `FoldedUnits` folds them
            sums = on_patches(maps, rows - rows.mean(1).reshape(-1, 1)) / deviation
            return sums - operations.per_map(rows @ weights["mean"])

        z = on_normalized(units @ whitening)
        if self.response == "soft":
            positive, negative = (operations.maximum(sign * z - self.threshold, 0 * z) for sign in (1, -1))
            return operations.concatenate(positive, negative)
        whitened = on_normalized(whitening)
        square = n_numbers * operations.local_mean(whitened * whitened, 1, 1.0)
        distances = square + operations.per_map((units * units).sum(1)) - 2 * z
        distances = operations.root(operations.maximum(distances, 0 * z))
        return operations.maximum(operations.local_mean(distances, 1, 1.0) - distances, 0 * z)

    def learn(self, source: Source) -> LearnedStage:
        """Learn whitening and units from patches of the maps below."""
        from striate.hierarchy._patch_learning import learn_units

        units, mean, whitening, learners, rows = learn_units(
            source,
            notation=self.notation,
            n_units=self.n_units,
            size=self.size,
            learner=self.learner,
            spherical=self.response == "soft",
        )
        return LearnedStage(self.with_units(units, mean, whitening), learners, rows[:SHOWN].copy())

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and JSON for the model file."""
        names = ("units", "mean", "whitening")
        arrays = {name: getattr(self, name) for name in names} if self.is_learned else {}
        return arrays, {name: getattr(self, name) for name in _PARAMETERS}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> PatchDictionary:
        """The inverse of `to_state`."""
        layer = cls(*(field(header, name) for name in _PARAMETERS))
        if not arrays:
            return layer
        units = array(arrays, "units", (layer.n_units, None), "float32")
        n = units.shape[1]
        mean, whitening = array(arrays, "mean", (n,), "float32"), array(arrays, "whitening", (n, n), "float32")
        return layer.with_units(units, mean, whitening)
