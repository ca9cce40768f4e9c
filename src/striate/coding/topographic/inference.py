"""Optimal codes of units on a sheet, whose penalty is a sum over pools of neighbors that overlap."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding.inference import Inference, warn_of_gap
from striate.coding.prepared_dictionary import PreparedDictionary
from striate.coding.topographic.certificate import EPSILON, Problem, certify_topographic, codes_like
from striate.coding.topographic.sheet import Sheet
from striate.errors import UsageError
from striate.parameters import Boolean, Integer, Real, checked
from striate.threads import n_threads, run_ranges

__all__ = ["descend_on_sheet", "infer_topographic"]

_BETWEEN_CHECKS = 5  # steps between two checks of the gap, which costs about as much as a step
_TOLERANCE = {np.dtype(np.float32): 1e-4, np.dtype(np.float64): 1e-6}


def infer_topographic(
    signals: ArrayLike,
    dictionary: ArrayLike | PreparedDictionary,
    sheet: Sheet,
    sparsity: float,
    *,
    epsilon: float = EPSILON,
    prediction: float = 0.0,
    target: ArrayLike | None = None,
    start: ArrayLike | None = None,
    tolerance: float | None = None,
    max_iterations: int = 1000,
    info: bool = False,
) -> Any:
    """Codes of units on a sheet: few pools of neighbors are active, however many units of a pool are.

    They minimize, to a certified gap, the convex energy::

        ½‖y − zD‖² + sparsity·Σ_pools √(Σ weight·z² + ε) + ½·prediction·‖z − target‖²

    Without overlap of the pools, and for ε → 0, this is the group lasso. Overlapping pools have no proximal step in
    closed form: the solver minimizes quadratic majorizants over the plane of the scaled gradient and the last move, so
    that no step raises the energy. On natural patches it needs a third of the steps of FISTA with inner iterations.

    Parameters
    ----------
    signals : float (n_samples, n_features)
        float32 is computed with and returned as float32, everything else as float64.
    dictionary : float (n_units, n_features) or PreparedDictionary
        One unit per row, of any norm, in the order of the sheet: row by row.
    sheet : Sheet
    sparsity : float
        Above 0.
    epsilon : float, default 1e-3
        Above 0, in the unit of squared codes: it makes the roots smooth. Pools that are weaker than √ε count as
        inactive; their codes are small, but not exactly 0. Smaller values need more steps.
    prediction : float, default 0
        Weight of the prediction term.
    target : float (n_samples, n_units), optional
        The codes that an encoder predicts; needed with `prediction`.
    start : float (n_samples, n_units), optional
        Codes to start from; by default `target`, or the correlations with the units.
    tolerance : float, optional
        Tolerance of the duality gap, relative to the energy of an empty code (see `certify_topographic`); by default
        1e-4 for float32 and 1e-6 for float64.
    max_iterations : int, default 1000
    info : bool
        Return an `Inference`: codes with objective, gap and iterations.

    Returns
    -------
    ndarray (n_samples, n_units), or Inference with `info`

    Raises
    ------
    UsageError
        For NaN or infinity, shapes that do not fit, and signals or units whose products are infinite.

    References
    ----------
    Kavukcuoglu, Ranzato, Fergus, LeCun, CVPR 2009, equation 3. Chouzenoux, Jezierska, Pesquet, Talbot, "A
    majorize-minimize subspace approach for ℓ2-ℓ0 image regularization", SIAM Journal on Imaging Sciences 6, 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.coding import Sheet, infer_topographic
    >>> pools_of_two = Sheet(4, window=2, stride=2, weights="box")
    >>> codes = infer_topographic([[3.0, 1.0, 0.2, 0.1]], np.eye(4), pools_of_two, 1.0, epsilon=1e-8)
    >>> codes.round(2)
    array([[2.33, 0.78, 0.  , 0.  ]])
    """
    task = Problem.of(signals, dictionary, sheet, sparsity, epsilon, prediction, target)
    info, steps = checked("info", info, Boolean()), checked("max_iterations", max_iterations, Integer(low=0))
    tolerance = checked("tolerance", tolerance, Real(above=0) | None)
    tolerance = _TOLERANCE[task.signals.dtype] if tolerance is None else tolerance
    if start is not None:
        start = codes_like(task.signals, start, "start", sheet.n_units)
    squares = np.einsum("ij,ij->i", task.signals, task.signals, dtype=np.float64)
    if task.target is not None:
        squares += task.prediction * np.einsum("ij,ij->i", task.target, task.target, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        correlation, gram = task.signals @ task.units.T, task.units @ task.units.T
    if not (np.isfinite(correlation).all() and np.isfinite(gram).all()):
        raise UsageError("signals or dictionary are so large that their products are infinite; scale them down")
    found = descend_on_sheet(
        correlation, gram, task.sheet, task.sparsity, epsilon=task.epsilon, prediction=task.prediction,
        target=task.target, start=start, steps=steps, squares=squares, tolerance=tolerance,
    )  # fmt: skip
    if not info and (found.gaps <= tolerance).all():
        return found.codes
    certified = certify_topographic(
        task.signals, found.codes, task.units, sheet, sparsity, epsilon=epsilon, prediction=prediction, target=target
    )
    # The gap of double precision may differ in its last digit from that by which the solver stopped.
    converged = certified.relative_gap <= 1.1 * tolerance
    is_single = task.signals.dtype == np.float32
    warn_of_gap(converged, tolerance, "infer_topographic", steps, stacklevel=2, single=is_single)
    return Inference(found.codes, *certified, found.iterations, converged) if info else found.codes


class Descended(NamedTuple):
    """Codes (n_samples, n_units), relative gaps where they were asked for, else infinity, and iterations."""

    codes: NDArray[Any]
    gaps: NDArray[np.float64]
    iterations: NDArray[np.int64]


def descend_on_sheet(
    correlation: NDArray[Any],
    gram: NDArray[Any],
    sheet: Sheet,
    sparsity: float,
    *,
    epsilon: float,
    steps: int,
    prediction: float = 0.0,
    target: NDArray[Any] | None = None,
    start: NDArray[Any] | None = None,
    squares: NDArray[np.float64] | None = None,
    tolerance: float = 0.0,
) -> Descended:
    """As `infer_topographic`, from products with the dictionary: a number of steps, or until gaps are small.

    Parameters
    ----------
    correlation : float32 or float64 (n_samples, n_units)
        ``signals @ dictionary.T``.
    gram : (n_units, n_units), of the same type
        ``dictionary @ dictionary.T``.
    sheet, sparsity, epsilon, prediction, target, start
        As in `infer_topographic`, checked.
    steps : int
    squares : float64 (n_samples,), optional
        Squared norms of the signals, plus those of √prediction times the targets; without them, gaps are not computed.
    tolerance : float
    """
    from striate.coding.topographic._kernel import compile_descent
    from striate.kernels.simd import PANEL

    dtype, n_samples = correlation.dtype, len(correlation)
    lanes = PANEL[dtype]
    if prediction and target is not None:
        start = target if start is None else start
        linear = _blocks(correlation + dtype.type(prediction) * target, lanes)
    else:
        linear = _blocks(correlation, lanes)
    codes = _blocks(correlation if start is None else start, lanes)
    known = np.zeros((len(codes), lanes))
    if squares is not None:
        known.reshape(-1)[:n_samples] = squares
    gaps, iterations = np.full((len(codes), lanes), np.inf), np.zeros(known.shape, np.int64)
    kernel, gram = compile_descent(dtype), np.ascontiguousarray(gram, dtype)
    real = dtype.type
    run_ranges(
        lambda first, last: kernel(
            first, last, gram, linear, codes, known, *sheet.windows(dtype), sheet.n_columns, real(sparsity),
            real(epsilon), real(prediction), steps, 0 if squares is None else _BETWEEN_CHECKS, tolerance, gaps,
            iterations,
        ),
        len(codes), size=1, n_threads=n_threads(),
    )  # fmt: skip
    found = np.ascontiguousarray(codes.transpose(0, 2, 1)).reshape(-1, sheet.n_units)[:n_samples]
    return Descended(found, gaps.reshape(-1)[:n_samples], iterations.reshape(-1)[:n_samples])


def _blocks(rows: NDArray[Any], lanes: int) -> NDArray[Any]:
    """Rows (n_samples, n_units) in blocks (n_blocks, n_units, lanes), where samples are adjacent; zeros at the end."""
    n_samples, n_units = rows.shape
    whole = np.zeros((-(-n_samples // lanes) * lanes, n_units), rows.dtype)
    whole[:n_samples] = rows
    return np.ascontiguousarray(whole.reshape(-1, lanes, n_units).transpose(0, 2, 1))
