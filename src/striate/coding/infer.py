"""One call for all solvers: signals and a dictionary in, optimal codes out."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding.certificate import certify
from striate.coding.prepared_dictionary import PreparedDictionary
from striate.errors import UsageError
from striate.threads import in_threads

__all__ = ["METHODS", "Inference", "Method", "infer", "run_active_set", "warn_of_gap"]

Method = Literal["active_set", "coordinate_descent", "feature_sign", "homotopy", "greedy_descent", "fista", "ista"]

# Iterations at the most. What one is differs: a look at all units, a sweep, a step; a closed-form solve, a breakpoint.
METHODS: dict[str, int] = {
    "active_set": 1_000,
    "coordinate_descent": 10_000,
    "feature_sign": 10_000,
    "homotopy": 10_000,
    "greedy_descent": 1_000_000,
    "fista": 20_000,
    "ista": 100_000,
}
_BLOCK_BYTES = 64 << 20  # of correlations, or of compact codes, at a time
# From here on a gap in single precision is rounding; the work is then done in double precision.
_SINGLE_PRECISION = 2e-5
_SINGLE_RANGE = (1e-12, 1e12)  # of magnitudes whose squares single precision can sum
_LAST_SWEEPS = 2_000  # of coordinate descent, where all else has failed
_EAGERNESS = 0.9  # of the strongest violation: what else joins at the same look


@dataclass(frozen=True)
class Inference:
    """Codes and the proof of how good they are.

    Attributes
    ----------
    codes : ndarray or scipy.sparse.csr_array (n_samples, n_components)
    objective : float64 (n_samples,)
        ½‖y − zD‖² + sparsity·‖z‖₁.
    gap : float64 (n_samples,)
        The duality gap in double precision, from `codes` as they are: no code has an objective that is lower by more.
    relative_gap : float64 (n_samples,)
        In units of ½‖y‖².
    iterations : int64 (n_samples,)
        Of the method asked for.
    converged : bool (n_samples,)
        Whether the solver reached the tolerance.
    """

    codes: Any
    objective: NDArray[np.float64]
    gap: NDArray[np.float64]
    relative_gap: NDArray[np.float64]
    iterations: NDArray[np.int64]
    converged: NDArray[np.bool_]


@overload
def infer(
    signals: ArrayLike,
    dictionary: ArrayLike | PreparedDictionary,
    sparsity: float | ArrayLike,
    *,
    method: Method = ...,
    positive: bool = ...,
    start: ArrayLike | None = ...,
    tolerance: float | None = ...,
    max_iterations: int | None = ...,
    sparse_output: bool = ...,
    info: Literal[False] = ...,
) -> Any: ...
@overload
def infer(
    signals: ArrayLike,
    dictionary: ArrayLike | PreparedDictionary,
    sparsity: float | ArrayLike,
    *,
    method: Method = ...,
    positive: bool = ...,
    start: ArrayLike | None = ...,
    tolerance: float | None = ...,
    max_iterations: int | None = ...,
    sparse_output: bool = ...,
    info: Literal[True],
) -> Inference: ...
def infer(
    signals: ArrayLike,
    dictionary: ArrayLike | PreparedDictionary,
    sparsity: float | ArrayLike,
    *,
    method: Method = "active_set",
    positive: bool = False,
    start: ArrayLike | None = None,
    tolerance: float | None = None,
    max_iterations: int | None = None,
    sparse_output: bool = False,
    info: bool = False,
) -> Any:
    """Codes that minimize ½‖y − zD‖² + sparsity·‖z‖₁ for each signal y, to a certified gap.

    Parameters
    ----------
    signals : float (n_samples, n_features), or (n_features,) for one
        float32 is computed with and returned as float32, the fast path; float64 as float64, whatever the dictionary's
        type and the number of threads. Integers become float64, float16 float32. A memory map is read in blocks.
        A torch tensor is coded by FISTA on the device where it is, and gives a tensor.
    dictionary : float (n_components, n_features) or PreparedDictionary
        A unit a row, of any norm. Prepare it when it is used for more than one call.
    sparsity : float, (n_components,) for one a unit, or (n_samples, 1) for one a signal
        Above 0. (Half of the talk's, which writes the square without ½.)
    method : str
        All find the same optimum. "active_set" is the fastest on every workload that was measured
        (`benchmarks/coding.py`); "coordinate_descent" (working sets, screening), "feature_sign" (Lee et al. 2006),
        "homotopy" (LARS), "greedy_descent" (CoD of Gregor & LeCun 2010), "fista" and "ista" are there to compare with.
    positive : bool
        Codes must not be negative.
    start : (n_samples, n_components), optional
        Codes to start from, as from the frame before or an encoder; "homotopy" has no use for them.
    tolerance : float, optional
        Of the duality gap, relative to ½‖y‖²: by default 1e-4 for float32, where it costs nothing to be visibly
        exact, and 1e-6 for float64.
    max_iterations : int, optional
        By default so many that only degenerate problems reach it (`METHODS`).
    sparse_output : bool
        Return a `scipy.sparse.csr_array`; memory then grows with the number of active units.
    info : bool
        Return an `Inference`: codes with objective, gap, iterations. Certifying costs two more products.

    Returns
    -------
    codes : ndarray or csr_array (n_samples, n_components), or (n_components,) for one signal; Inference with `info`

    Raises
    ------
    UsageError
        For NaN or infinity, shapes that do not fit, an unknown method, a sparsity that is not above 0.

    Warns
    -----
    ConvergenceWarning
        Where signals did not reach the tolerance.

    Notes
    -----
    What "active_set" leaves unfinished, as where units are twins or nearly combinations of others, is finished by
    coordinate descent in double precision.

    References
    ----------
    Lee, Battle, Raina, Ng, "Efficient sparse coding algorithms", NIPS 2006. Gregor, LeCun, "Learning fast
    approximations of sparse coding", ICML 2010. Beck, Teboulle, SIAM J. Imaging Sciences 2009. Efron, Hastie,
    Johnstone, Tibshirani, "Least angle regression", Annals of Statistics 2004.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.coding import infer
    >>> rng = np.random.default_rng(0)
    >>> dictionary = rng.standard_normal((256, 144)) / 12
    >>> found = infer(rng.standard_normal((1000, 144)), dictionary, sparsity=2.0, info=True)
    >>> found.codes.shape, bool(found.relative_gap.max() < 1e-6)
    ((1000, 256), True)
    """
    if method not in METHODS:
        raise UsageError(f"there is no method {method!r}; the methods are {', '.join(METHODS)}")
    prepared = dictionary if isinstance(dictionary, PreparedDictionary) else None
    if type(signals).__module__.partition(".")[0] == "torch":
        from striate.coding._torch import infer_tensor

        if method not in ("active_set", "fista") or sparse_output:
            raise UsageError("torch tensors are coded by FISTA, into a dense tensor")
        return infer_tensor(signals, dictionary, sparsity, positive, start, tolerance, max_iterations, info)  # type: ignore[arg-type]
    if prepared is None:
        prepared = PreparedDictionary(dictionary)  # type: ignore[arg-type]
    array = np.asarray(signals)
    if array.ndim == 1:
        if info or sparse_output:
            raise UsageError("info and sparse_output are for several signals: give an array (n_samples, n_features)")
        many = infer(
            array[np.newaxis], prepared, sparsity, method=method, positive=positive, tolerance=tolerance,
            start=None if start is None else np.asarray(start)[np.newaxis], max_iterations=max_iterations,
        )  # fmt: skip
        return many[0]
    problem = _Problem(array, prepared, sparsity, method, positive, tolerance, max_iterations)
    codes = problem.solve(None if start is None else np.asarray(start), sparse_output)
    warn_of_gap(problem.converged, problem.tolerance, method, problem.max_iterations, stacklevel=2)
    if not info:
        return codes
    proof = certify(array, codes, prepared.components, problem.certified_sparsity, positive=positive)
    return Inference(codes, *proof, problem.iterations, problem.converged)


class _Problem:
    """What was asked, checked and in the solvers' form."""

    def __init__(
        self,
        signals: NDArray[Any],
        prepared: PreparedDictionary,
        sparsity: float | ArrayLike,
        method: str,
        positive: bool,
        tolerance: float | None,
        max_iterations: int | None,
    ) -> None:
        if signals.ndim != 2 or signals.shape[1] != prepared.n_features:
            raise UsageError(
                f"signals have shape {signals.shape}, but the dictionary is for (n_samples, {prepared.n_features})"
            )
        if signals.dtype.kind not in "fiub":
            raise UsageError(f"signals are real numbers, not {signals.dtype}")
        self.signals, self.prepared, self.method, self.positive = signals, prepared, method, bool(positive)
        self.dtype = _FLOAT32 if signals.dtype in (_FLOAT32, np.float16) else _FLOAT64
        if tolerance is None:
            tolerance = 1e-4 if self.dtype == _FLOAT32 else 1e-6
        elif not 0 < tolerance < np.inf:
            raise UsageError(f"tolerance must be above 0, as 1e-4, not {tolerance}")
        self.tolerance = float(tolerance)
        if max_iterations is not None and max_iterations < 1:
            raise UsageError(f"max_iterations must be at least 1, not {max_iterations}")
        self.max_iterations = METHODS[method] if max_iterations is None else int(max_iterations)
        self.n_samples = len(signals)
        self._split(sparsity)
        self.iterations = np.zeros(self.n_samples, np.int64)
        self.converged = np.ones(self.n_samples, bool)

    def _split(self, sparsity: float | ArrayLike) -> None:
        """The sparsity as weights of the units, times a number a signal."""
        n_components = self.prepared.n_components
        if isinstance(sparsity, (int, float)):
            if not 0 < sparsity < np.inf:
                raise UsageError(f"sparsity must be above 0, not {sparsity}")
            self.weights = np.ones(n_components)
            self.sparsities = np.full(self.n_samples, float(sparsity))
            self.certified_sparsity: Any = float(sparsity)
            return
        array = np.asarray(sparsity, np.float64)
        if not (np.isfinite(array).all() and (array > 0).all()):
            raise UsageError("sparsity must be above 0, and finite, everywhere")
        if array.ndim == 0:
            self._split(float(array))
            return
        if array.shape in ((n_components,), (1, n_components)):
            level = float(array.max())
            self.weights, self.sparsities = array.reshape(-1) / level, np.full(self.n_samples, level)
        elif array.shape == (self.n_samples, 1):
            self.weights, self.sparsities = np.ones(n_components), array[:, 0].copy()
        else:
            raise UsageError(
                f"sparsity is a number, ({n_components},) for one a unit or ({self.n_samples}, 1) for one a signal, "
                f"not an array of shape {array.shape}"
            )
        self.certified_sparsity = array

    def solve(self, start: NDArray[Any] | None, sparse_output: bool) -> Any:
        shape = (self.n_samples, self.prepared.n_components)
        if start is not None:
            if start.shape != shape:
                raise UsageError(f"start has shape {start.shape}, but the codes have {shape}")
            if not np.isfinite(start).all():
                raise UsageError("start holds NaN or infinity")
        compact = sparse_output and start is None and self.method == "active_set"
        if sparse_output:
            from scipy import sparse
        codes = None if sparse_output else np.empty(shape, self.dtype)
        blocks = []
        for rows in self._blocks(compact):
            block = np.ascontiguousarray(self.signals[rows], self.dtype)
            begin = None if start is None else start[rows]
            if compact and (packed := self._compact(block, rows)) is not None:
                blocks.append(packed)
                continue
            into = np.empty((len(block), shape[1]), self.dtype) if codes is None else codes[rows]
            self._dense(block, rows, begin, into)
            if sparse_output:
                blocks.append(sparse.csr_array(into))
        if not sparse_output:
            return codes
        return sparse.vstack(blocks, format="csr") if blocks else sparse.csr_array(shape, dtype=self.dtype)

    def _blocks(self, compact: bool) -> Any:
        n_features, n_components = self.prepared.n_features, self.prepared.n_components
        needs = min(n_features, n_components) if compact else n_components
        size = max(256, _BLOCK_BYTES // (8 * max(needs, n_features)))
        if self.method == "active_set" and not compact and _in_memory(self.signals, self.dtype):
            size = max(self.n_samples, 1)  # nothing but the result is allocated
        for first in range(0, self.n_samples, size):
            yield slice(first, min(first + size, self.n_samples))

    def _dense(self, block: NDArray[Any], rows: slice, start: NDArray[Any] | None, codes: NDArray[Any]) -> None:
        if start is not None:
            codes[:] = np.maximum(start, 0) if self.positive else start
        precision = self._precision(block)
        if precision != self.dtype:
            double = codes.astype(precision) if start is not None else np.empty(codes.shape, precision)
            self._solve_block(block.astype(precision), rows, start is not None, double)
            codes[:] = double
        else:
            self._solve_block(block, rows, start is not None, codes)

    def _solve_block(self, block: NDArray[Any], rows: slice, warm: bool, codes: NDArray[Any]) -> None:
        if self.method == "active_set":
            self._active_set(block, rows, codes, warm)
            return
        if not warm:
            codes[:] = 0
        energies = self._energies(block, rows)
        if self.method in ("fista", "ista"):
            from striate.coding.gradient import descend_to_gap

            arrays = self.prepared.arrays(block.dtype)
            codes[:], self.iterations[rows], self.converged[rows] = descend_to_gap(
                block @ arrays.components.T, energies, arrays.gram, self.prepared.largest_eigenvalue,
                self.weights.astype(block.dtype), self.sparsities[rows], tolerance=self.tolerance,
                positive=self.positive, max_iterations=self.max_iterations, start=codes,
                accelerated=self.method == "fista",
            )  # fmt: skip
            return
        self._classical(self.method, block, energies, self.sparsities[rows], codes, self.max_iterations, rows)

    def _classical(
        self,
        method: str,
        block: NDArray[Any],
        energies: NDArray[np.float64],
        sparsities: NDArray[np.float64],
        codes: NDArray[Any],
        max_iterations: int,
        rows: Any,
    ) -> None:
        """A kernel that works from correlations; in place, from `codes`."""
        arrays = self.prepared.arrays(block.dtype)
        correlations = arrays.correlations(block)
        iterations, converged = np.zeros(len(block), np.int64), np.zeros(len(block), bool)
        kernel = _classical_kernel(method, block.dtype)
        stops = (arrays.gram.shape[0] + 1, 0.0) if method == "homotopy" else ()
        weights = self.weights.astype(block.dtype)

        def run(first: int, last: int) -> None:
            kernel(
                first, last, correlations, energies, arrays.gram, arrays.squared_norms, weights, sparsities,
                self.tolerance, self.positive, max_iterations, *stops, codes, iterations, converged,
            )  # fmt: skip

        in_threads(run, len(block), self.prepared.n_components * self.prepared.n_features)
        self.iterations[rows], self.converged[rows] = iterations, converged

    def _active_set(self, block: NDArray[Any], rows: slice, codes: NDArray[Any], warm: bool) -> None:
        iterations, sparsities = self.iterations[rows], self.sparsities[rows]
        ended = run_active_set(
            block, self.prepared.arrays(block.dtype), self.weights, sparsities, tolerance=self.tolerance,
            positive=self.positive, max_iterations=self.max_iterations, warm=warm, codes=codes, iterations=iterations,
        )  # fmt: skip
        if not ended.any():
            return
        from striate.coding._active_set import NOT_FINITE, OUT_OF_ROUNDS

        if (ended == NOT_FINITE).any():
            raise _non_finite(rows.start, block)
        # Rare: in double precision, then by a solver that nothing disturbs, unless the rounds were limited.
        left = np.flatnonzero(ended)
        self.converged[left + rows.start] = False
        if self.max_iterations != METHODS["active_set"]:
            left = left[ended[left] != OUT_OF_ROUNDS]
        double = codes[left].astype(np.float64)
        signals, where = block[left].astype(np.float64), left + rows.start
        if block.dtype != _FLOAT64 and len(left):
            ended_again = run_active_set(
                signals, self.prepared.arrays(_FLOAT64), self.weights, self.sparsities[where],
                tolerance=self.tolerance, positive=self.positive, max_iterations=self.max_iterations,
                warm=warm, codes=double, iterations=self.iterations[where],
            )  # fmt: skip
            self.converged[where] = ended_again == 0
            still = np.flatnonzero(ended_again)
        else:
            still = np.arange(len(left))
        rounds, rest = self.iterations[where[still]], double[still]
        energies = np.einsum("ij,ij->i", signals[still], signals[still])
        self._classical(
            "coordinate_descent", signals[still], energies, self.sparsities[where[still]], rest,
            _LAST_SWEEPS, where[still],
        )  # fmt: skip
        double[still], self.iterations[where[still]] = rest, rounds
        codes[left] = double

    def _compact(self, block: NDArray[Any], rows: slice) -> Any:
        """Codes of a block as a CSR array, which the kernel packs range by range; None where some were left."""
        from scipy import sparse

        precision = self._precision(block)
        n, n_components = len(block), self.prepared.n_components
        capacity = min(self.prepared.n_features, n_components)
        # Only what is written to is ever taken from the system.
        compact = (
            np.empty(n * capacity, np.int32),
            np.empty(n * capacity, precision),
            np.zeros(n, np.int64),
            np.zeros(n, np.int64),
        )
        ended = run_active_set(
            block.astype(precision, copy=False), self.prepared.arrays(precision), self.weights, self.sparsities[rows],
            tolerance=self.tolerance, positive=self.positive, max_iterations=self.max_iterations, warm=False,
            codes=np.empty((0, n_components), precision), compact=compact, iterations=self.iterations[rows],
        )  # fmt: skip
        if ended.any():
            return None
        units, values, counts, starts = compact
        ends = np.concatenate([[0], np.cumsum(counts)])
        columns, data = np.empty(ends[-1], np.int32), np.empty(ends[-1], self.dtype)
        # Each thread packs the codes of a range one after another; between ranges there are gaps.
        firsts = np.flatnonzero(np.append(True, starts[1:] != starts[:-1] + counts[:-1]))
        for first, last in zip(firsts, np.append(firsts[1:], n), strict=True):
            packed = slice(starts[first], starts[first] + ends[last] - ends[first])
            columns[ends[first] : ends[last]] = units[packed]
            data[ends[first] : ends[last]] = values[packed]
        return sparse.csr_array((data, columns, ends), (n, n_components))

    def _precision(self, block: NDArray[Any]) -> np.dtype:
        """float64 where float32 cannot do what is asked."""
        if self.dtype == _FLOAT64 or self.tolerance < _SINGLE_PRECISION:
            return _FLOAT64
        low, high = _SINGLE_RANGE
        largest = max(float(np.abs(block[:1]).max(initial=0)), 0.0)
        sparsity = float(self.sparsities[0]) if len(self.sparsities) else 1.0
        tame = all(low < value < high or value == 0 for value in (largest, self.prepared.magnitude, sparsity))
        return _FLOAT32 if tame else _FLOAT64

    def _energies(self, block: NDArray[Any], rows: slice) -> NDArray[np.float64]:
        energies = np.einsum("ij,ij->i", block, block, dtype=np.float64)
        if not np.isfinite(energies).all():
            raise _non_finite(rows.start, block)
        return energies


def run_active_set(
    signals: NDArray[Any],
    arrays: Any,
    weights: NDArray[Any],
    sparsities: NDArray[np.float64],
    *,
    tolerance: float,
    positive: bool,
    max_iterations: int,
    warm: bool,
    codes: NDArray[Any],
    iterations: NDArray[np.int64],
    compact: tuple[NDArray[Any], ...] | None = None,
) -> NDArray[np.int8]:
    """The kernel over all signals; how each ended, 0 where it reached the tolerance.

    `codes` are dense results, and with `warm` also where it starts; with `compact`, `codes` has no rows.
    """
    from striate.coding._active_set import compile_active_set

    gram = arrays.padded_gram
    dtype = gram.dtype
    n, (n_units, n_padded) = len(sparsities), gram.shape
    padded, inverse = np.ones(n_padded, dtype), np.ones(n_padded, dtype)
    padded[:n_units] = weights
    inverse[:n_units] = 1 / weights
    units, values, counts, starts = compact or _NOWHERE[dtype]
    ended = np.zeros(n, np.int8)
    slack, least = (1e-6, 1e-5) if dtype == _FLOAT32 else (1e-12, 1e-10)
    kernel = compile_active_set(dtype)

    def run(first: int, last: int) -> None:
        kernel(
            first, last, signals, arrays.panels, gram, padded, inverse, sparsities, tolerance, slack,
            least, positive, _EAGERNESS, max_iterations, warm, codes, units, values, counts, starts, iterations, ended,
        )  # fmt: skip

    in_threads(run, n, n_units * signals.shape[1])
    return ended


_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
_NOWHERE = {
    dtype: (np.empty(0, np.int32), np.empty(0, dtype), np.empty(0, np.int64), np.empty(0, np.int64))
    for dtype in (_FLOAT32, _FLOAT64)
}


def _in_memory(signals: NDArray[Any], dtype: np.dtype) -> bool:
    return signals.dtype == dtype and signals.flags.c_contiguous and not isinstance(signals, np.memmap)


def _classical_kernel(method: str, dtype: np.dtype) -> Callable[..., None]:
    if method == "coordinate_descent":
        from striate.coding._coordinate_descent import compile_coordinate_descent

        return compile_coordinate_descent(dtype)
    if method == "feature_sign":
        from striate.coding._feature_sign import compile_feature_sign

        return compile_feature_sign(dtype)
    if method == "homotopy":
        from striate.coding._homotopy import compile_homotopy

        return compile_homotopy(dtype)
    from striate.coding._greedy_descent import compile_greedy_descent

    return compile_greedy_descent(dtype)


def _non_finite(first: int, block: NDArray[Any]) -> UsageError:
    bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
    if len(bad) == 0:
        return UsageError("signals are so large that their energy is infinity; scale them down")
    return UsageError(f"signals hold NaN or infinity, first in sample {first + bad[0]}; remove or mend it")


def warn_of_gap(
    converged: NDArray[np.bool_], tolerance: float, method: str, max_iterations: int, *, stacklevel: int
) -> None:
    """Say how many signals did not reach the tolerance, where some did not, and what to change."""
    if converged.all():
        return
    from sklearn.exceptions import ConvergenceWarning

    warnings.warn(
        f"{int((~converged).sum())} of {len(converged)} signals did not reach a relative gap of {tolerance:g} by "
        f"{method}; raise max_iterations (now {max_iterations}), tolerance or sparsity",
        ConvergenceWarning,
        stacklevel=stacklevel + 1,
    )
