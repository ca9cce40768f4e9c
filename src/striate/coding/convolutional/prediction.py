"""Optimal code maps of convolutional predictive sparse decomposition: they are pulled towards predicted maps."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding.convolutional._arguments import (
    SINGLE_PRECISION,
    assembled,
    checked_images,
    checked_maps,
    checked_thresholds,
    default_tolerance,
)
from striate.coding.convolutional._problem import Gap, relative_gap
from striate.coding.convolutional.prepared_filters import PreparedFilters, as_prepared_filters
from striate.coding.convolutional.proximal import MapDescent
from striate.coding.convolutional.windows import correlate, synthesize
from striate.coding.inference import Inference
from striate.parameters import Boolean, Integer, Real, checked
from striate.threads import map_ordered, n_threads, single_threaded_blas

__all__ = ["infer_convolutional_with_prediction"]

_EVERY = 10  # steps between computations of the gap, each of which takes as long as a step
_PATIENCE = 100  # steps in single precision, before those that lead no further end it
_MOST_STEPS = 5_000


def infer_convolutional_with_prediction(
    images: Any,
    filters: ArrayLike | PreparedFilters,
    sparsity: float | ArrayLike,
    *,
    prediction: float,
    target: Any,
    mask: Any = None,
    tolerance: float | None = None,
    max_iterations: int = _MOST_STEPS,
    info: bool = False,
) -> Any:
    """Code maps that minimize ½‖mask ⊙ (x − Σₖ dₖ * zₖ)‖² + Σₖ sparsityₖ·‖zₖ‖₁ + ½·prediction·Σₖ‖zₖ − targetₖ‖².

    `infer_convolutional` is the same without a prediction term. With it the energy is strongly convex, so that
    accelerated proximal steps converge at a constant rate, in about a hundred steps for 64 filters of 9×9. All maps of
    an image are kept in memory, several times.

    Parameters
    ----------
    images, filters, sparsity, mask
        As in `infer_convolutional`.
    prediction : float
        The weight of the prediction term, above 0.
    target : code maps
        The prediction of an encoder, in the form of the codes that are returned.
    tolerance : float, optional
        Tolerance of the duality gap, relative to ½‖mask⊙x‖² + ½·prediction·‖target‖²; by default 1e-4 for float32 and
        1e-6 for float64.
    max_iterations : int
    info : bool
        Return an `Inference`.

    Returns
    -------
    codes : ndarray (n_maps, n_rows, n_columns) for one image; ndarray (n_images, n_maps, n_rows, n_columns) for an
        array of several; a list for a list; Inference with `info`
        Inactive coefficients are exactly 0.

    Raises
    ------
    UsageError
        As `infer_convolutional`, and for a target that does not fit.

    Warns
    -----
    ConvergenceWarning
        Where images did not reach the tolerance.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.coding import infer_convolutional_with_prediction
    >>> image, filters, target = np.full((1, 2), 3.0), np.ones((1, 1, 1)), np.array([[[2.0, 0.0]]])
    >>> infer_convolutional_with_prediction(image, filters, 1.0, prediction=1.0, target=target)
    array([[[2., 1.]]])
    """
    prediction = checked("prediction", prediction, Real(above=0))
    tolerance = checked("tolerance", tolerance, Real(above=0) | None)
    max_iterations = checked("max_iterations", max_iterations, Integer(low=1))
    info = checked("info", info, Boolean())
    prepared = as_prepared_filters(filters)
    thresholds = checked_thresholds(sparsity, prepared.n_maps)
    found = checked_images(images, mask, prepared.filters.shape)
    targets = checked_maps(target, found, prepared.filters.shape, "target")
    curvature = prepared.largest_eigenvalue

    def solve(number: int) -> _Solved:
        image, weight = found.items[number], found.masks[number]
        wanted = tolerance or default_tolerance(image.dtype)
        weights = None if weight is None else np.square(weight)
        problem = _Problem(image, prepared.filters, thresholds, prediction, targets[number].toarray(), weights)
        return problem.solve(curvature, wanted, max_iterations)

    with single_threaded_blas():
        numbers = range(len(found.items))
        solved = list(map_ordered(solve, numbers, n_threads=min(n_threads(), max(len(numbers), 1))))
    if not all(one.is_converged for one in solved):
        _warn(sum(not one.is_converged for one in solved), len(solved), max_iterations)
    codes = assembled([one.codes for one in solved], found.form)
    if not info:
        return codes
    objective, gap, relative = np.array([one.proof for one in solved], np.float64).reshape(-1, 3).T
    steps, converged = (np.array([getattr(one, name) for one in solved]) for name in ("steps", "is_converged"))
    return Inference(codes, objective, gap, relative, steps.astype(np.int64), converged.astype(bool))


class _Solved(NamedTuple):
    """The codes of one image, with objective, gap and relative gap."""

    codes: NDArray[Any]
    proof: tuple[float, float, float]
    steps: int
    is_converged: bool


class _Problem:
    """One image; the arrays are (1, …), as those of a batch of one."""

    def __init__(
        self,
        image: NDArray[Any],
        filters: NDArray[Any],
        thresholds: NDArray[np.float64],
        prediction: float,
        target: NDArray[Any],
        weights: NDArray[np.float64] | None,
    ) -> None:
        self.dtype = image.dtype
        self.image, self.target = image[np.newaxis].astype(np.float64), target[np.newaxis].astype(np.float64)
        self.filters = filters.astype(np.float64)
        self.thresholds, self.prediction = thresholds, prediction
        self.weights = np.ones((1, 1, 1)) if weights is None else weights
        seen = self.weights * self.image
        energy = np.vdot(seen, self.image) + prediction * np.vdot(self.target, self.target)
        self.half_energy = 0.5 * float(energy)

    def solve(self, curvature: float, tolerance: float, max_iterations: int) -> _Solved:
        """Steps in single precision as far as they lead, if the image has it, then in double precision."""
        is_single = self.dtype == np.float32 and tolerance >= SINGLE_PRECISION
        maps, steps, proof = self.target, 0, (np.inf, np.inf, np.inf)
        for dtype in (np.float32, np.float64) if is_single else (np.float64,):
            highest = curvature * float(self.weights.max())
            descent = MapDescent(
                self.image.astype(dtype), self.filters.astype(dtype), self.thresholds, curvature=highest,
                start=maps.astype(dtype), weights=self.weights.astype(dtype), prediction=self.prediction,
                target=self.target.astype(dtype),
            )  # fmt: skip
            best = np.inf
            while steps < max_iterations and proof[2] > tolerance:
                for _ in range(min(_EVERY, max_iterations - steps)):
                    descent.advance()
                    steps += 1
                maps = descent.maps.astype(self.dtype).astype(np.float64)
                proof = self.certificate(maps)
                if dtype == np.float32 and steps >= _PATIENCE and not proof[2] < best:
                    break  # what is left is rounding
                best = min(best, proof[2])
        return _Solved(maps[0].astype(self.dtype), proof, steps, bool(proof[2] <= tolerance))

    def certificate(self, maps: NDArray[np.float64]) -> tuple[float, float, float]:
        """Objective, gap and relative gap of maps, from the problem with its prediction term as a further signal."""
        residual = self.image - synthesize(maps, self.filters)
        weighted, missing = self.weights * residual, self.target - maps
        correlations = correlate(weighted, self.filters) + self.prediction * missing
        ratios = np.abs(correlations).max(axis=(0, 2, 3)) / self.thresholds
        sizes = np.abs(maps).sum(axis=(0, 2, 3))
        gap = Gap(
            square=float(np.vdot(residual, weighted) + self.prediction * np.vdot(missing, missing)),
            aligned=float(np.vdot(self.image, weighted) + self.prediction * np.vdot(self.target, missing)),
            norm=float((sizes[sizes > 0] * self.thresholds[sizes > 0]).sum()),
            highest=float(ratios.max()),
        )
        return gap.objective, gap.gap, relative_gap(gap.gap, self.half_energy)


def _warn(n_missing: int, n: int, max_iterations: int) -> None:
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    warnings.warn(
        f"{n_missing} of {n} images did not reach the tolerance; raise max_iterations (now {max_iterations}), "
        "tolerance, sparsity or prediction",
        ConvergenceWarning,
        stacklevel=3,
    )
