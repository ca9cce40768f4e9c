"""From images and filters to optimal code maps, by any of the methods."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

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
from striate.coding.convolutional._image_task import ImageTask, OneCertificate
from striate.coding.convolutional._working_set import WorkingSet
from striate.coding.convolutional.prepared_filters import PreparedFilters, as_prepared_filters
from striate.coding.convolutional.sparse_maps import SparseMaps
from striate.coding.inference import Inference
from striate.errors import UsageError
from striate.parameters import Boolean, Integer, Real, checked
from striate.threads import map_ordered, n_threads

__all__ = ["METHODS", "ConvolutionalMethod", "infer_convolutional"]

ConvolutionalMethod = Literal["active_set", "fista"]

# The most iterations: passes over all coefficients, and steps.
METHODS: dict[str, int] = {"active_set": 1_000, "fista": 20_000}

_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
_FINISHED = 1 << 24  # coefficients whose maps may all be kept, for FISTA to finish what coordinate descent did not
_MARGIN = 0.05  # share of the tolerance that is left to rounding in single precision


def infer_convolutional(
    images: Any,
    filters: ArrayLike | PreparedFilters,
    sparsity: float | ArrayLike,
    *,
    method: ConvolutionalMethod = "active_set",
    positive: bool = False,
    mask: Any = None,
    start: Any = None,
    tolerance: float | None = None,
    max_iterations: int | None = None,
    sparse_output: bool = False,
    info: bool = False,
) -> Any:
    """Code maps that minimize ½‖mask ⊙ (x − Σₖ dₖ * zₖ)‖² + Σₖ sparsityₖ·‖zₖ‖₁ for each image x, to a certified gap.

    A filter has a coefficient for every position at which it lies wholly inside the image: the maps of an image of
    H×W have (H − h + 1)×(W − w + 1) coefficients for filters of h×w, and their full convolution has the image's size.
    To let filters cross the border, pad the image by up to h − 1 and w − 1 pixels, and give a mask that is 0 there.

    Parameters
    ----------
    images : float (height, width), (channels, height, width), (n_images, channels, height, width), or a list
        A list may hold images of different sizes, each of two or three axes. float32 is computed with and returned as
        float32, the fast path; float64 as float64, whatever the filters' type and the number of threads. Integers
        become float64, float16 float32.
    filters : float (n_maps, height, width), (n_maps, channels, height, width) or PreparedFilters
        Of any norm. The first row and column of a filter is its upper left corner in the image: coefficient (i, j) of
        map k stands for filter k with that corner at pixel (i, j). Prepare them when they are used for more than one
        call.
    sparsity : float, or (n_maps,) per map
        Above 0; infinity excludes a map. At `abs(prepared correlations).max()` and above, all codes are 0.
    method : str
        Both find the same optimum. "active_set" is coordinate descent on a working set; its memory grows with the image
        and the number of active coefficients only. "fista" is the classical method with fast Fourier transforms, which
        is there for comparison: it keeps all maps and their spectra in memory, and has been slower wherever it was
        tried.
    positive : bool
        Codes must not be negative.
    mask : bool or float, of the shape of the image or (height, width), optional
        The weight of each pixel's error, at least 0: True or 1 where a pixel was observed, 0 where it is unknown; it
        may then be NaN. For several images: one for all, or one for each in the same form as the images; for a list,
        a list.
    start : code maps, optional
        Codes to start from, such as those at another sparsity, in the form that is returned.
    tolerance : float, optional
        Tolerance of the duality gap, relative to ½‖mask⊙x‖²; by default 1e-4 for float32 and 1e-6 for float64.
    max_iterations : int, optional
        By default a number that only degenerate problems reach (`METHODS`).
    sparse_output : bool
        Return `SparseMaps`. Dense maps of an image take n_maps times its memory, and most of it is 0.
    info : bool
        Return an `Inference`: codes with objective, gap and iterations, an array each with one number per image.

    Returns
    -------
    codes : ndarray (n_maps, n_rows, n_columns) or SparseMaps for one image; ndarray (n_images, n_maps, n_rows,
        n_columns), or a list of SparseMaps, for an array of several; a list for a list; Inference with `info`

    Raises
    ------
    UsageError
        For NaN or infinity, shapes that do not fit, filters that are larger than an image, an unknown method, and a
        sparsity that is not above 0.

    Warns
    -----
    ConvergenceWarning
        Where images did not reach the tolerance.

    Notes
    -----
    Convergence is judged in double precision, from the codes that are returned. Codes in float32 whose gap turns out
    to be above the tolerance, because of rounding, are continued in double precision. Codes that "active_set" does not
    finish, at sparsities so low that about as many coefficients are active as there are pixels, are finished by FISTA,
    unless `max_iterations` is given or the maps have more than 16 million coefficients.

    Several images are coded at the same time, and parts of one image as well; the codes are the same bits with any
    number of threads.

    References
    ----------
    Kavukcuoglu, Sermanet, Boureau, Gregor, Mathieu, LeCun, "Learning convolutional feature hierarchies for visual
    recognition", NIPS 2010. Moreau, Gramfort, "DICODILE: distributed convolutional dictionary learning", 2019 (arXiv
    1901.09235). Beck, Teboulle, SIAM J. Imaging Sciences 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.coding import infer_convolutional
    >>> rng = np.random.default_rng(0)
    >>> filters = rng.standard_normal((8, 5, 5)) / 5
    >>> found = infer_convolutional(rng.standard_normal((40, 50)), filters, sparsity=2.0, info=True)
    >>> found.codes.shape, bool(found.relative_gap[0] < 1e-6)
    ((8, 36, 46), True)
    """
    if not isinstance(method, str) or method not in METHODS:
        raise UsageError(f"there is no method {method!r}; the methods are {', '.join(METHODS)}")
    positive, info = checked("positive", positive, Boolean()), checked("info", info, Boolean())
    sparse_output = checked("sparse_output", sparse_output, Boolean())
    tolerance = checked("tolerance", tolerance, Real(above=0) | None)
    max_iterations = checked("max_iterations", max_iterations, Integer(low=1) | None) or METHODS[method]
    prepared = as_prepared_filters(filters)
    shape = prepared.filters.shape
    found = checked_images(images, mask, shape)
    thresholds = checked_thresholds(sparsity, prepared.n_maps)
    starts: list[Any] = [None] * len(found.items) if start is None else checked_maps(start, found, shape, "start")
    threads = n_threads()
    each = max(1, threads // max(len(found.items), 1))
    tasks = [
        ImageTask(image, of_mask, prepared, thresholds, positive, each)
        for image, of_mask in zip(found.items, found.masks, strict=True)
    ]
    solve = _Solve(method, tolerance, max_iterations)
    solved = list(map_ordered(solve, zip(tasks, starts, strict=True), n_threads=min(threads, max(len(tasks), 1))))
    tolerances = np.array([solve.tolerance_of(task) for task in tasks])
    proof = np.array([one.proof for one in solved], np.float64).reshape(-1, 3)
    converged = proof[:, 2] <= tolerances
    _warn(converged, tolerances, method, max_iterations)
    form = "list" if sparse_output and found.form == "batch" else found.form
    codes = assembled([one.codes if sparse_output else one.codes.toarray() for one in solved], form)
    if not info:
        return codes
    iterations = np.array([one.iterations for one in solved], np.int64)
    objective, gap, relative_gap = proof.T
    return Inference(codes, objective, gap, relative_gap, iterations, converged)


class _Solved(NamedTuple):
    """The code of one image, its certificate and the number of iterations."""

    codes: SparseMaps
    proof: OneCertificate
    iterations: int


class _Solve:
    """Solves one image after another by a method."""

    def __init__(self, method: str, tolerance: float | None, max_iterations: int) -> None:
        self.method, self.tolerance, self.max_iterations = method, tolerance, max_iterations

    def tolerance_of(self, task: ImageTask) -> float:
        """The tolerance that was asked for, or that of the image's type."""
        return self.tolerance or default_tolerance(task.dtype)

    def __call__(self, given: tuple[ImageTask, SparseMaps | None]) -> _Solved:
        task, start = given
        tolerance = self.tolerance_of(task)
        codes = _allowed_start(task, start)
        proof: OneCertificate = (np.inf, np.inf, np.inf)
        iterations = 0
        is_single = task.dtype == _FLOAT32 and tolerance >= SINGLE_PRECISION and task.is_tame
        precisions: list[np.dtype] = [_FLOAT32, _FLOAT64] if is_single else [_FLOAT64]
        for precision in precisions:
            left = self.max_iterations - iterations
            if proof[2] <= tolerance or left == 0:
                break
            margin = 1 - _MARGIN if precision == _FLOAT32 else 1.0
            codes, proof, spent = self._run(self.method, task, codes, precision, margin * tolerance, left)
            iterations += spent
        n_coefficients = task.filters.n_maps * task.layout.n_rows * task.layout.n_columns
        is_limited = self.method == "fista" or self.max_iterations < METHODS[self.method]
        if proof[2] > tolerance and not is_limited and n_coefficients <= _FINISHED:
            finished, better, _ = self._run("fista", task, codes, _FLOAT64, tolerance, METHODS["fista"])
            if better[2] < proof[2]:
                codes, proof = finished, better
        return _Solved(codes, proof, iterations)

    @staticmethod
    def _run(
        method: str, task: ImageTask, start: SparseMaps, precision: np.dtype, tolerance: float, max_iterations: int
    ) -> tuple[SparseMaps, OneCertificate, int]:
        """Codes by a method, their certificate and the number of iterations."""
        problem, working = task.problem(precision), task.working_set(start, precision)
        if method == "active_set":
            from striate.coding.convolutional._active_set import descend

            done = descend(problem, working, tolerance, max_iterations)
        else:
            from striate.coding.convolutional._fista import accelerate

            done = accelerate(problem, task.filters, working, tolerance, max_iterations)
        codes = task.codes(done.working)
        return codes, task.certificate(codes, problem if precision == _FLOAT64 else None), done.iterations


def _allowed_start(task: ImageTask, start: SparseMaps | None) -> SparseMaps:
    """The codes to start from, without those that the problem excludes."""
    n_maps, layout = task.filters.n_maps, task.layout
    if start is None:
        empty = np.zeros(0, np.int64)
        return WorkingSet(layout, empty, empty.astype(np.int32), np.zeros(0)).to_sparse(n_maps)
    useful = np.isfinite(task.sparsities) & (task.filters.squared_norms > 0)
    kept = useful[start.coordinates[:, 0]] & (start.values > 0 if task.positive else start.values != 0)
    return SparseMaps(start.shape, start.coordinates[kept], start.values[kept])


def _warn(converged: NDArray[np.bool_], tolerances: NDArray[np.float64], method: str, max_iterations: int) -> None:
    if converged.all():
        return
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    warnings.warn(
        f"{int((~converged).sum())} of {len(converged)} images did not reach a relative gap of {tolerances.max():g} by "
        f"{method}; raise max_iterations (now {max_iterations}), tolerance or sparsity, or give float64 images",
        ConvergenceWarning,
        stacklevel=3,
    )
