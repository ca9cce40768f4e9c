"""One function for all solvers, from signals and a dictionary to optimal codes.

`infer` is longer than other functions, since its docstring is the reference for the options of all solvers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding._engine import Engine, Task, rounded
from striate.coding._special import needs_care, solve_carefully, solve_masked, threshold_codes
from striate.coding.certificate import Certificate, certify
from striate.coding.inference import METHODS, Inference, Method, warn_of_gap
from striate.coding.prepared_dictionary import PreparedDictionary, as_prepared
from striate.errors import UsageError
from striate.parameters import Boolean, Integer, Real, checked
from striate.samples import check_finite, dense_rows, float_type, is_sparse

__all__ = ["METHODS", "Inference", "Method", "infer", "warn_of_gap"]


@overload
def infer(
    signals: ArrayLike,
    dictionary: ArrayLike | PreparedDictionary,
    sparsity: float | ArrayLike,
    *,
    method: Method = ...,
    positive: bool = ...,
    l2: float = ...,
    mask: ArrayLike | None = ...,
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
    l2: float = ...,
    mask: ArrayLike | None = ...,
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
    l2: float = 0.0,
    mask: ArrayLike | None = None,
    start: ArrayLike | None = None,
    tolerance: float | None = None,
    max_iterations: int | None = None,
    sparse_output: bool = False,
    info: bool = False,
) -> Any:
    """Codes that minimize ½‖y − zD‖² + sparsity·‖z‖₁ + ½·l2·‖z‖² for each signal y, to a certified gap.

    Parameters
    ----------
    signals : float (n_samples, n_features), or (n_features,) for one
        float32 is computed with and returned as float32, the fast path; float64 as float64, whatever the dictionary's
        type and the number of threads. Integers become float64, float16 float32. A memory map is read in blocks, and
        so is a SciPy sparse matrix. A torch tensor is coded by FISTA on the device where it is, and gives a tensor.
    dictionary : float (n_components, n_features) or PreparedDictionary
        One unit per row, of any norm. Prepare it when it is used for more than one call. Where its Gram matrix would
        take more than 1 GiB, all methods work on parts of it, for the units that may be active.
    sparsity : float, (n_components,) per unit, (n_samples, 1) per signal, or (n_samples, n_components)
        Above 0. (The talk, which writes the square without ½, has twice this number.) Per unit it may be 0, for a unit
        that is not penalized, or infinite, for one that is excluded.
    method : str
        All find the same optimum. "active_set" is the fastest on every workload that was measured
        (`benchmarks/coding.py`); "coordinate_descent" (working sets, screening), "feature_sign" (Lee et al. 2006),
        "homotopy" (LARS), "greedy_descent" (CoD of Gregor & LeCun 2010), "fista" and "ista" are there for comparison.
        "threshold" does not find the optimum: it shrinks the correlations with the units by the sparsity, as
        scikit-learn's method of that name does. That is cheap, and optimal only where units are orthonormal.
    positive : bool
        Codes must not be negative.
    l2 : float, default 0
        The weight of ½‖z‖², at least 0. Above 0 this is the elastic net, in which similar units share a code.
    mask : bool (n_samples, n_features), or (n_features,) for all signals, optional
        True where a signal was observed; only these values count, and the others may be NaN. Signals with the same
        mask are coded together; each mask needs its own Gram matrix.
    start : (n_samples, n_components), optional
        Codes to start from, such as those of the frame before or of an encoder; dense or sparse. "homotopy" and
        "threshold" do not use them.
    tolerance : float, optional
        Tolerance of the duality gap, relative to ½‖y‖²; by default 1e-4 for float32 and 1e-6 for float64.
    max_iterations : int, optional
        By default a number that only degenerate problems reach (`METHODS`); another solver then finishes their codes.
        With a smaller number, codes are returned as they are.
    sparse_output : bool
        Return a `scipy.sparse.csr_array`; memory then grows with the number of active units.
    info : bool
        Return an `Inference`: codes with objective, gap and iterations. This costs two more products.

    Returns
    -------
    codes : ndarray or csr_array (n_samples, n_components), or (n_components,) for one signal; Inference with `info`

    Raises
    ------
    UsageError
        For NaN or infinity, shapes that do not fit, an unknown method, a sparsity that is not above 0, and codes that
        are too large or too small for their type.

    Warns
    -----
    ConvergenceWarning
        Where signals did not reach the tolerance.

    Notes
    -----
    Convergence is judged in double precision, from the code that is returned, wherever rounding could hide that the gap
    is above the tolerance. Codes that a method does not finish, for example where units are nearly combinations of
    others, are finished in double precision by other solvers and rounded. Signals, units and sparsities whose squares
    would overflow or vanish are rescaled by powers of two.

    References
    ----------
    Lee, Battle, Raina, Ng, "Efficient sparse coding algorithms", NIPS 2006. Gregor, LeCun, "Learning fast
    approximations of sparse coding", ICML 2010. Beck, Teboulle, SIAM J. Imaging Sciences 2009. Efron, Hastie,
    Johnstone, Tibshirani, "Least angle regression", Annals of Statistics 2004. Zou, Hastie, "Regularization and
    variable selection via the elastic net", J. Royal Statistical Society B 2005.

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
    if not isinstance(method, str) or (method != "threshold" and method not in METHODS):
        raise UsageError(f"there is no method {method!r}; the methods are {', '.join(METHODS)}, threshold")
    positive, info = checked("positive", positive, Boolean()), checked("info", info, Boolean())
    sparse_output = checked("sparse_output", sparse_output, Boolean())
    tolerance = checked("tolerance", tolerance, Real(above=0) | None)
    max_iterations = checked("max_iterations", max_iterations, Integer(low=1) | None)
    l2 = checked("l2", l2, Real(low=0))
    if type(signals).__module__.partition(".")[0] == "torch":
        if method not in ("active_set", "fista") or sparse_output or l2 or mask is not None:
            raise UsageError("torch tensors are coded by FISTA, into a dense tensor, without l2 and mask")
        from striate.coding._torch import infer_tensor

        return infer_tensor(signals, dictionary, sparsity, positive, start, tolerance, max_iterations, info)
    prepared, array = as_prepared(dictionary), _as_array(signals)
    if array.ndim == 1:
        if info or sparse_output:
            raise UsageError("info and sparse_output are for several signals: give an array (n_samples, n_features)")
        return infer(
            array[np.newaxis], prepared, sparsity, method=method, positive=positive, l2=l2, mask=mask,
            start=None if start is None else _array_of(start, "start")[np.newaxis], tolerance=tolerance,
            max_iterations=max_iterations,
        )[0]  # fmt: skip
    if array.ndim != 2 or array.shape[1] != prepared.n_features:
        raise UsageError(
            f"signals have shape {array.shape}, but the dictionary is for (n_samples, {prepared.n_features})"
        )
    shape = array.shape[0], prepared.n_components
    dtype = float_type(array.dtype)
    task = Task(
        array, prepared, _thresholds(sparsity, *shape), dtype, method, positive, l2,
        tolerance=tolerance or (1e-4 if dtype == np.float32 else 1e-6),
        max_iterations=max_iterations or METHODS.get(method, 1), start=_start(start, *shape),
    )  # fmt: skip
    observed = None if mask is None else _mask(mask, array)
    if method == "threshold" or observed is not None or needs_care(task):
        solved = _solve_specially(task, observed, sparse_output, info)
    else:
        solved = _solve(task, sparse_output, info)
    if solved.converged is not None and method != "threshold":
        warn_of_gap(
            solved.converged, task.tolerance, method, task.max_iterations, stacklevel=2, single=dtype == np.float32
        )  # fmt: skip
    if solved.proof is None or solved.converged is None or not info:
        return solved.codes
    return Inference(solved.codes, *solved.proof, solved.iterations, solved.converged)


class _Solved(NamedTuple):
    """Codes and their certificates; for codes by "threshold", only if `info` is set."""

    codes: Any
    iterations: NDArray[np.int64]
    converged: NDArray[np.bool_] | None
    proof: Certificate | None


def _solve(task: Task, sparse_output: bool, info: bool) -> _Solved:
    """A task that the engine solves as it is."""
    engine = Engine(task)
    codes = engine.solve(sparse_output)
    if not info:
        return _Solved(codes, engine.iterations, engine.converged, None)
    proof = certify(task.signals, codes, task.prepared, task.thresholds, positive=task.positive, l2=task.l2)
    return _Solved(codes, engine.iterations, proof.relative_gap <= task.tolerance, proof)


def _solve_specially(task: Task, observed: NDArray[np.bool_] | None, sparse_output: bool, info: bool) -> _Solved:
    """A task that the engine does not solve as it is; all of its codes are certified together."""
    if observed is not None:
        dense = dense_rows(task.signals, slice(None))
        task = replace(task, signals=np.where(observed, dense, 0).astype(dense.dtype, copy=False))
    check_finite(task.signals.data if is_sparse(task.signals) else task.signals)
    iterations = np.zeros(task.n_samples, np.int64)
    codes: Any
    if task.method == "threshold":
        codes = threshold_codes(task)
    else:
        solved = solve_carefully(task) if observed is None else solve_masked(task, observed)
        codes, iterations = rounded(solved.codes, task.dtype, np.arange(task.n_samples)), solved.iterations
    proof = None
    if info or task.method != "threshold":
        proof = certify(
            task.signals, codes, task.prepared, task.thresholds, positive=task.positive, l2=task.l2, mask=observed
        )  # fmt: skip
    if sparse_output:
        from scipy import sparse

        codes = sparse.csr_array(codes)
    return _Solved(codes, iterations, None if proof is None else proof.relative_gap <= task.tolerance, proof)


def _as_array(signals: Any) -> Any:
    """An array of real numbers, or a CSR matrix of them."""
    if is_sparse(signals):
        array = signals.tocsr()
    elif np.ma.isMaskedArray(signals) and np.ma.is_masked(signals):
        raise UsageError("signals have masked values; give signals.filled(0), and mask=~signals.mask")
    else:
        try:
            array = np.asarray(signals)
            if array.dtype.kind == "O":
                array = array.astype(np.float64)
        except (ValueError, TypeError, OverflowError):
            raise UsageError(
                "signals are no table of numbers: give rows of one length that hold only numbers"
            ) from None  # fmt: skip
    if array.dtype.kind not in "fiub":
        raise UsageError(f"signals are real numbers, not {array.dtype}")
    return array


def _thresholds(sparsity: Any, n_samples: int, n_components: int) -> NDArray[np.float64]:
    """The sparsity, (1 or n_samples, 1 or n_components)."""
    try:
        array = np.asarray(sparsity)
        if array.dtype.kind not in "fiu":
            raise ValueError
        array = array.astype(np.float64)
    except (ValueError, TypeError):
        raise UsageError("sparsity is a number above 0, or an array of them") from None
    if array.ndim == 0:
        return np.array([[checked("sparsity", float(array), Real(above=0))]])
    shapes = ((n_components,), (1, n_components), (n_samples, 1), (n_samples, n_components))
    if array.shape not in shapes:
        raise UsageError(
            f"sparsity is a number, ({n_components},) for one per unit, ({n_samples}, 1) for one per signal or "
            f"({n_samples}, {n_components}) for both, not an array of shape {array.shape}"
        )
    array = np.atleast_2d(array)
    if array.shape[1] == 1 and n_components > 1:
        if not (np.isfinite(array).all() and (array > 0).all()):
            raise UsageError("sparsity must be above 0, and finite, for every signal")
    elif not (array >= 0).all():
        raise UsageError("sparsity must be above 0, or 0 for a unit that is not penalized, and not NaN")
    return array if n_samples else np.ones((1, 1))


def _start(start: Any, n_samples: int, n_components: int) -> Any:
    """Codes to start from, as an array or a CSR matrix."""
    if start is None:
        return None
    array = start.tocsr() if is_sparse(start) else _array_of(start, "start")
    if array.shape != (n_samples, n_components):
        raise UsageError(f"start has shape {array.shape}, but the codes have {(n_samples, n_components)}")
    if array.dtype.kind not in "fiub":
        raise UsageError(f"start holds real numbers, not {array.dtype}")
    if not np.isfinite(array.data if is_sparse(array) else array).all():
        raise UsageError("start holds NaN or infinity")
    return array


def _array_of(values: Any, name: str) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError:
        raise UsageError(f"{name} has rows of different lengths") from None


def _mask(mask: Any, signals: Any) -> NDArray[np.bool_]:
    array = _array_of(mask, "mask")
    if array.dtype != bool or array.shape not in (signals.shape, signals.shape[1:]):
        raise UsageError(
            f"mask is an array of True and False of shape {tuple(signals.shape)} or {tuple(signals.shape[1:])}, "
            f"not of {array.dtype} and shape {array.shape}"
        )
    return np.broadcast_to(array, signals.shape)
