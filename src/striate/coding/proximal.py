"""FISTA: the code that minimizes the energy, by gradient steps with shrinkage and momentum.

With the dictionary `D` (one unit per row) and, for predictive sparse decomposition, a `target` for the codes::

    E(z) = ½‖y − zD‖² + sparsity·Σ|z| + ½·prediction·‖z − target‖²

The gradient of the smooth terms is ``z(DDᵀ + prediction) − (yDᵀ + prediction·target)``: this takes one
product with the dictionary per batch, and one with its Gram matrix per step.

References
----------
Beck, Teboulle, "A fast iterative shrinkage-thresholding algorithm for linear inverse problems", SIAM Journal
on Imaging Sciences 2009. O'Donoghue, Candès, "Adaptive restart for accelerated gradient schemes", Foundations
of Computational Mathematics 2015.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from striate.coding._descent import Descent
from striate.coding.eigenvalue import largest_eigenvalue
from striate.coding.prepared_dictionary import as_prepared
from striate.errors import UsageError
from striate.parameters import Integer, Real, checked
from striate.samples import as_samples, float_type, kernel_array

__all__ = ["fista", "fista_from_gram"]


def fista(
    signals: np.ndarray,
    dictionary: np.ndarray,
    sparsity: float,
    *,
    steps: int = 100,
    start: np.ndarray | None = None,
    prediction: float = 0.0,
    target: np.ndarray | None = None,
) -> np.ndarray:
    """Codes of signals, near the minimum of the energy.

    Parameters
    ----------
    signals : ndarray (n_samples, n_features)
        float32 and float16 are computed in float32, all other types in float64.
    dictionary : ndarray (n_components, n_features)
        One unit per row, of any norm.
    sparsity : float
        Weight of the L1 term, beside ½‖y − zD‖². (Half of the talk's, which writes the square without ½.)
    steps : int, default 100
        Iterations. 20 are enough for learning from a good start.
    start : ndarray (n_samples, n_components), optional
        The initial codes; by default `target`, or 0 without a target.
    prediction : float, default 0
        Weight of the prediction term.
    target : ndarray (n_samples, n_components), optional
        The prediction of an encoder; required with `prediction`.

    Returns
    -------
    ndarray (n_samples, n_components), float32 or float64 as `signals` are computed with
        Inactive units are exactly 0.

    Raises
    ------
    UsageError
        If `prediction` has no `target`, a weight is negative, shapes do not fit, or numbers or their products are not
        finite.
    """
    sparsity, prediction = (
        checked(name, value, Real()) for name, value in (("sparsity", sparsity), ("prediction", prediction))
    )
    steps = checked("steps", steps, Integer(low=0))
    signals = as_samples(signals, name="signals")
    prepared = as_prepared(dictionary)
    if signals.shape[1] != prepared.n_features:
        raise UsageError(f"signals have {signals.shape[1]} features, but the dictionary has {prepared.n_features}")
    if prediction and target is None:
        raise UsageError("prediction > 0 needs a target: the codes that the encoder predicts")
    shape = (len(signals), prepared.n_components)
    start, target = (
        None if codes is None else _codes(name, codes, shape) for name, codes in (("start", start), ("target", target))
    )
    units = prepared.components.astype(signals.dtype, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):
        correlation, gram = signals @ units.T, units @ units.T
    if not (np.isfinite(correlation).all() and np.isfinite(gram).all()):
        raise UsageError("signals or dictionary are so large that their products are infinite; scale them down")
    codes, _ = fista_from_gram(
        correlation,
        gram,
        sparsity,
        steps=steps,
        start=start,
        prediction=prediction,
        target=target,
        eigenvalue=1.001 * largest_eigenvalue(gram),
    )
    return codes


def fista_from_gram(
    correlation: np.ndarray,
    gram: np.ndarray,
    sparsity: float,
    *,
    steps: int,
    eigenvalue: float,
    start: np.ndarray | None = None,
    prediction: float = 0.0,
    target: np.ndarray | None = None,
    correct: Callable[[np.ndarray], float] = largest_eigenvalue,
) -> tuple[np.ndarray, float]:
    """As `fista`, from products with the dictionary, with an eigenvalue that may be out of date.

    The curvature along the last step costs nothing. When it exceeds `eigenvalue`, the steps were too long
    and may have diverged: they are repeated with the eigenvalue that `correct` computes.

    Parameters
    ----------
    correlation : ndarray (n_samples, n_components)
        ``signals @ dictionary.T``; its type, float32 or float64, is that of the codes.
    gram : ndarray (n_components, n_components)
        ``dictionary @ dictionary.T``.
    sparsity, steps, start, prediction, target
        As in `fista`.
    eigenvalue : float
        The largest eigenvalue of `gram`, or a little more.
    correct : callable, default `largest_eigenvalue`
        Computes the eigenvalue anew: ndarray (n_components, n_components) → float.

    Returns
    -------
    codes : ndarray (n_samples, n_components), dtype of `correlation`
    eigenvalue : float
        The eigenvalue that was used.
    """
    if sparsity < 0 or prediction < 0:
        raise UsageError(f"sparsity and prediction must not be negative; got {sparsity} and {prediction}")
    dtype = float_type(correlation.dtype)
    correlation, gram = kernel_array(correlation, dtype), np.asarray(gram, dtype)
    linear = correlation
    if prediction and target is not None:
        linear = correlation + dtype.type(prediction) * target
        start = target if start is None else start
    begin = np.zeros_like(correlation) if start is None else kernel_array(start, dtype)
    linear = kernel_array(linear, dtype)
    codes, curvature = _descend(begin, linear, gram, sparsity, prediction, eigenvalue, steps)
    if not curvature <= eigenvalue:  # also true for NaN, when it has diverged to infinity
        eigenvalue = correct(gram)
        codes, _ = _descend(begin, linear, gram, sparsity, prediction, eigenvalue, steps)
    return codes, eigenvalue


def _codes(name: str, codes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Codes of a shape, finite."""
    codes = as_samples(codes, name=name, n_features=shape[1])
    if len(codes) != shape[0]:
        raise UsageError(f"{name} has shape {codes.shape}, but the codes have {shape}")
    return codes


def _descend(
    start: np.ndarray,
    linear: np.ndarray,
    gram: np.ndarray,
    sparsity: float,
    prediction: float,
    eigenvalue: float,
    steps: int,
) -> tuple[np.ndarray, float]:
    """`steps` iterations; the codes, and the curvature of `gram` along the last move."""
    lipschitz = eigenvalue + prediction
    step = 1.0 / lipschitz if lipschitz > 0 else 1.0
    # The prediction term makes the energy strongly convex: more momentum than this overshoots (Nesterov).
    root = np.sqrt(prediction * step)
    descent = Descent(
        start, linear, gram, step=step, thresholds=np.full(len(start), step * sparsity, start.dtype),
        weights=np.ones(start.shape[1], start.dtype), pull=prediction, momentum_limit=(1.0 - root) / (1.0 + root),
    )  # fmt: skip
    with np.errstate(over="ignore", invalid="ignore"):  # the caller notices a divergence
        for _ in range(steps):
            descent.advance()
        return descent.codes, descent.curvature()
