"""One image to be coded, scaled so that its squares can be computed, and the certificate of its code."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.coding._ranges import exponents
from striate.coding.convolutional._layout import Layout
from striate.coding.convolutional._problem import Gap, Problem, relative_gap
from striate.coding.convolutional._working_set import WorkingSet
from striate.coding.convolutional.prepared_filters import TAME, PreparedFilters
from striate.coding.convolutional.sparse_maps import SparseMaps
from striate.errors import UsageError

__all__ = ["ImageTask", "OneCertificate"]

_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
_SINGLE = (1e-12, 1e12)  # magnitudes of filters and sparsities whose products float32 can hold
OneCertificate = tuple[float, float, float]  # objective, gap, relative gap


@dataclass(frozen=True)
class ImageTask:
    """An image (n_channels, height, width), its mask or None, and what is to be minimized.

    If the image is divided by 2ᵉ, the filters by 2ᶠ and the mask by 2ᵍ, codes are divided by 2ᵉ⁻ᶠ, sparsities by
    2ᵉ⁺ᶠ⁺²ᵍ and the objective by 2²ᵉ⁺²ᵍ; all exponents are 0 unless numbers are extreme.
    """

    image: NDArray[Any]
    mask: NDArray[np.float64] | None
    filters: PreparedFilters
    sparsities: NDArray[np.float64]
    positive: bool
    n_threads: int

    @property
    def dtype(self) -> np.dtype:
        """Of the image, and of the code that is returned."""
        return self.image.dtype

    @property
    def layout(self) -> Layout:
        return Layout.of(self.image.shape, self.filters.filters.shape)

    @cached_property
    def _exponents(self) -> tuple[int, int]:
        """Of the image and of the mask."""
        largest = 1.0 if self.mask is None else float(self.mask.max())
        of_image, of_mask = exponents([float(np.abs(self.image).max()), largest], tame=TAME)
        return int(of_image), int(of_mask)

    @property
    def code_exponent(self) -> int:
        """The solvers' codes are those of the image divided by 2 to this power."""
        return self._exponents[0] - self.filters.exponent

    @cached_property
    def thresholds(self) -> NDArray[np.float64]:
        """The sparsities that belong to the scaled numbers."""
        of_image, of_mask = self._exponents
        with np.errstate(over="ignore", under="ignore"):
            scaled = np.ldexp(self.sparsities, -(of_image + self.filters.exponent + 2 * of_mask))
        return np.asarray(np.where(scaled > 0, scaled, np.finfo(np.float64).tiny))

    @property
    def is_tame(self) -> bool:
        """Whether float32 can hold the numbers of the problem."""
        finite = self.thresholds[np.isfinite(self.thresholds)]
        of_filters = np.ldexp(np.array(self.filters.extent), -self.filters.exponent)
        numbers = [*finite, *of_filters, *([] if self.mask is None else self.mask[self.mask > 0])]
        low, high = _SINGLE
        return not numbers or bool(low < min(numbers) and max(numbers) < high)

    def problem(self, dtype: np.dtype) -> Problem:
        """The scaled problem in a precision."""
        of_image, of_mask = self._exponents
        image = np.ldexp(self.image, -of_image) if of_image else self.image
        weights = None if self.mask is None else np.ldexp(self.mask, -of_mask) ** 2
        return Problem(image, weights, self.filters, self.thresholds, self.positive, dtype, self.n_threads)

    def working_set(self, codes: SparseMaps, dtype: np.dtype) -> WorkingSet:
        """Codes as the solvers have them, in a precision."""
        return WorkingSet.from_sparse(self.layout, codes).converted(dtype, -self.code_exponent)

    def codes(self, working: WorkingSet) -> SparseMaps:
        """The codes that a working set stands for, in the image's type."""
        codes = working.converted(self.dtype, self.code_exponent).to_sparse(self.filters.n_maps)
        if not np.isfinite(codes.values).all() or (working.values.any() and not len(codes.values)):
            raise UsageError(
                f"the code of an image is too large or too small for {self.dtype.name}; bring images and filters to a "
                "common scale"
            )
        return codes

    def certificate(self, codes: SparseMaps, problem: Problem | None = None) -> OneCertificate:
        """Objective, gap and relative gap, computed in double precision only from the codes."""
        problem = problem or self.problem(_FLOAT64)
        gap = problem.evaluate(self.working_set(codes, _FLOAT64))
        return self.unscaled(gap, problem.half_energy, is_allowed=not (self.positive and (codes.values < 0).any()))

    def unscaled(self, gap: Gap, half_energy: float, *, is_allowed: bool = True) -> OneCertificate:
        """The certificate from the sums of the scaled problem."""
        objective = gap.objective if is_allowed and np.isfinite(gap.objective) else np.inf
        distance = gap.gap if is_allowed else np.inf
        relative = relative_gap(distance, half_energy)
        back = 2 * sum(self._exponents)
        with np.errstate(over="ignore", under="ignore"):
            return float(np.ldexp(objective, back)), float(np.ldexp(distance, back)), float(relative)
