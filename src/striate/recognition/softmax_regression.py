"""Solver of multinomial logistic regression, for samples in any coordinates.

The objective is

    f(W, b) = mean cross-entropy of (X W + b) + ½ · weight_decay · ‖W‖²

It is minimized by L-BFGS whose first guess of the Hessian is (½ → c) of Böhning's bound: at any point the Hessian in W
is at most ½ (I − 11ᵀ/k) ⊗ XᵀX/n + weight_decay I. Replacing ½ by c, the mean over samples of the average variance of a
class's indicator, (1 − Σp²)/(k − 1), turns the bound into an estimate, much smaller once the classes are separated.
The estimate is shared by all classes, so it costs one Cholesky factorization, or nothing where the columns of X are
uncorrelated; L-BFGS learns how classes differ.
"""

from __future__ import annotations

from collections import deque
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from striate.recognition.softmax import losses_of

__all__ = ["Design", "Solution", "minimize_cross_entropy"]

_MEMORY = 20  # pairs that L-BFGS remembers; more changed nothing on features of digits and of photographs
_STALE = 2.0  # the preconditioner is factored again when c has changed by this factor and some iterations have passed,
_PATIENCE = 4
_MISLEADING = 8.0  # or when c has changed by this factor
_STALLED = 4  # iterations with a gain of less than a tenth of the tolerance, after which only rounding is left
_CURVATURE = 0.2  # the line search ends when the slope has fallen to this fraction
_ROUNDING = 1e-3  # of the value: a rise by less may be a rounding error


class Design(Protocol):
    """The samples X of a problem: the operations that the solver needs.

    Attributes
    ----------
    weights : float (n_rows,)
        Weights of the rows in the mean, which sum to 1; held-out rows have weight 0.
    n_columns : int
    dtype : float32 or float64
    """

    weights: NDArray
    n_columns: int
    dtype: np.dtype

    def product(self, coefficients: NDArray) -> NDArray:
        """X W, (n_rows, n_classes)."""

    def transposed_product(self, residuals: NDArray) -> NDArray:
        """Xᵀ R, (n_columns, n_classes)."""

    def gram(self) -> NDArray | None:
        """XᵀX / n, (n_columns, n_columns), symmetric; its diagonal, (n_columns,), if the rest is about 0.

        None if it does not fit in memory.
        """


class Solution(NamedTuple):
    """Result of a minimization."""

    coefficients: NDArray  # (n_columns + 1, n_classes): W, and b in the last row
    value: float  # of the objective
    suboptimality: float  # estimated distance of the value from the minimum: half the squared Newton decrement
    n_iterations: int
    ended_by: Literal["tolerance", "precision", "iterations"]


class _Preconditioner:
    """(c XᵀX/n + weight_decay I)⁻¹ for W and 1/c for the intercept."""

    def __init__(self, gram: NDArray | None, weight_decay: float) -> None:
        self._diagonal = None if gram is None or gram.ndim == 2 else gram[:, None]
        self._gram = gram if self._diagonal is None else None
        self._weight_decay = weight_decay
        self._factor: NDArray | None = None
        self._curvature = 0.0
        self._age = 0
        self.has_jumped = False  # whether the curvature changed by much more than it does from step to step

    def refresh(self, point: _Point, weights: NDArray, *, at_once: bool = False) -> bool:
        """Factor again if the curvature c of the loss has changed much at this point; return whether it did."""
        n_classes = point.others.shape[1]
        # 1 − Σp² where the label's probability is 1 − missing.
        spread = (2 - point.missing) * point.missing - np.einsum("ij,ij->i", point.others, point.others)
        # After a step that overshoots no probability may be left to wrong classes; intercepts, without decay, must
        # not be divided by 0 then.
        smallest = float(np.finfo(spread.dtype).eps) / n_classes
        curvature = max(float(weights @ spread) / (n_classes - 1), smallest)
        self._age += 1
        self.has_jumped = False
        if self._curvature:
            ratio = max(curvature / self._curvature, self._curvature / curvature)
            patient = self._age < _PATIENCE and not at_once
            if ratio < (_MISLEADING if patient else _STALE):
                return False
            self.has_jumped = ratio >= _MISLEADING
        self._curvature, self._age = curvature, 0
        if self._gram is not None:
            self._factor = self._factorize()
        return True

    def _factorize(self) -> NDArray:
        from scipy.linalg import LinAlgError, cholesky

        assert self._gram is not None
        shift = self._weight_decay
        diagonal = np.diag_indices(len(self._gram))
        # With a shift below its rounding errors the Gram matrix may be indefinite; a larger shift is fine for a
        # preconditioner.
        while True:
            shifted = self._gram * self._gram.dtype.type(self._curvature)
            shifted[diagonal] += self._gram.dtype.type(shift)
            try:
                return cholesky(shifted.T, lower=True, overwrite_a=True, check_finite=False)
            except LinAlgError:
                shift = 10 * max(shift, float(np.finfo(shifted.dtype).eps) * float(shifted[diagonal].max()))

    def apply(self, gradient: NDArray) -> NDArray:
        from scipy.linalg import cho_solve

        result = np.empty_like(gradient)
        if self._diagonal is not None:
            kind = gradient.dtype.type
            result[:-1] = gradient[:-1] / (kind(self._curvature) * self._diagonal + kind(self._weight_decay))
        elif self._factor is None:  # columns have at most unit variance, so the diagonal of the Gram matrix is about 1
            result[:-1] = gradient[:-1] / gradient.dtype.type(self._curvature + self._weight_decay)
        else:
            result[:-1] = cho_solve((self._factor, True), gradient[:-1], check_finite=False)
        result[-1] = gradient[-1] / gradient.dtype.type(self._curvature)
        return result


class _Memory:
    """The pairs of L-BFGS, and the two loops (Nocedal and Wright, Numerical Optimization, algorithm 7.4)."""

    def __init__(self) -> None:
        self._pairs: deque[tuple[NDArray, NDArray, float]] = deque(maxlen=_MEMORY)

    def __bool__(self) -> bool:
        return bool(self._pairs)

    def clear(self) -> None:
        self._pairs.clear()

    def add(self, step: NDArray, change: NDArray) -> None:
        product = float(np.vdot(step, change))
        if product > 0:  # convexity guarantees this, but for rounding
            self._pairs.append((step, change, product))

    def direction(self, gradient: NDArray, preconditioner: _Preconditioner) -> NDArray:
        remainder = gradient.copy()
        kind = gradient.dtype.type
        shares = []
        for step, change, product in reversed(self._pairs):
            share = float(np.vdot(step, remainder)) / product
            remainder -= kind(share) * change
            shares.append(share)
        result = preconditioner.apply(remainder)
        for (step, change, product), share in zip(self._pairs, reversed(shares), strict=True):
            result += kind(share - float(np.vdot(change, result)) / product) * step
        return -result


class _Point(NamedTuple):
    """Quantities at the end of a step, which the line search has already computed.

    When predictions are nearly certain, the gradient consists of the small probabilities of wrong classes. `missing` is
    their sum, since 1 minus the label's probability would leave no digits in single precision.
    """

    loss: float
    others: NDArray  # probabilities; 0 for the label
    missing: NDArray  # their sums
    residuals: NDArray  # gradient of the loss in the logits


def _evaluate(logits: NDArray, labels: NDArray[np.integer], weights: NDArray) -> _Point:
    index = np.arange(len(labels))
    largest = logits.max(axis=1)
    others = np.exp(logits - largest[:, None])
    of_label = others[index, labels]
    others[index, labels] = 0
    missing = others.sum(axis=1)
    losses = losses_of(of_label, missing, largest - logits[index, labels])
    total = missing + of_label
    others /= total[:, None]
    missing /= total
    residuals = others * weights[:, None]
    residuals[index, labels] = -missing * weights
    loss = float(np.dot(losses.astype(np.float64), weights.astype(np.float64)))
    return _Point(loss, others, missing, residuals)


def _line_search(
    logits: NDArray,
    change: NDArray,
    labels: NDArray[np.integer],
    weights: NDArray,
    penalty: tuple[float, float, float],
    value_at_start: float,
    slope_at_start: float,
) -> tuple[float, NDArray, _Point]:
    """Length of the step along which logits move by `change`: safeguarded Newton on the slope, from 1.

    The logits are linear in the step length, so that no step length needs another product with the samples. The
    objective is convex along the line, so that the sign of its slope brackets the minimum. Beyond the minimum a small
    slope is not enough, since the loss is nearly linear far out: the value must not have risen either. `penalty` holds
    the penalty at 0, its slope there and its second derivative.
    """
    kind = logits.dtype.type
    # Change of the margins, the differences to the label's logit.
    gain = change - change[np.arange(len(labels)), labels][:, None]
    length, low, high = 1.0, 0.0, np.inf
    for _ in range(30):
        moved = logits + kind(length) * change
        point = _evaluate(moved, labels, weights)
        mean = np.einsum("ij,ij->i", point.others, gain)
        slope = float(np.dot(mean, weights)) + penalty[1] + length * penalty[2]
        value = point.loss + penalty[0] + length * (penalty[1] + length / 2 * penalty[2])
        has_risen = slope > 0 and value > value_at_start + _ROUNDING * abs(value_at_start)
        if abs(slope) <= _CURVATURE * abs(slope_at_start) and not has_risen:
            break
        low, high = (low, length) if slope > 0 else (length, high)
        square = np.einsum("ij,ij,ij->i", point.others, gain, gain)
        bend = float(np.dot(square - mean * mean, weights)) + penalty[2]
        newton = length - slope / bend if bend > 0 else np.inf
        if low < newton < min(high, 10 * length):
            length = newton
        else:
            length = (low + high) / 2 if np.isfinite(high) else 10 * length
    return length, moved, point


def minimize_cross_entropy(
    design: Design,
    labels: NDArray[np.integer],
    n_classes: int,
    weight_decay: float,
    *,
    gram: NDArray | None,
    start: NDArray | None = None,
    tolerance: float = 1e-4,
    max_iterations: int = 500,
) -> Solution:
    """Minimize the mean cross-entropy plus ½ · weight_decay · ‖W‖².

    Parameters
    ----------
    design : Design
        The samples, n_rows × n_columns.
    labels : integer (n_rows,)
        In 0 … n_classes − 1.
    n_classes : int
    weight_decay : float
        Positive, since separable classes have no optimum without weight decay.
    gram : (n_columns, n_columns), (n_columns,) or None
        The result of ``design.gram()``, computed once for a whole path of weight decays; used as a preconditioner only.
    start : (n_columns + 1, n_classes), optional
        Coefficients to start from; zero by default.
    tolerance : float
        Stop when the estimated distance to the minimal value is below this fraction of the value.
    max_iterations : int

    Returns
    -------
    Solution

    Notes
    -----
    An iteration costs a product with X, one with Xᵀ and, unless the Gram matrix is diagonal, a solve with a triangular
    factor: 4 n d k + 2 d² k flops. For few classes k all three are limited by memory bandwidth, since each number that
    is read is used only k times.

    References
    ----------
    D. Böhning, Multinomial logistic regression algorithm, Ann. Inst. Statist. Math. 44, 1992, theorem 1.
    """
    dtype = design.dtype
    weights = design.weights.astype(dtype)
    shape = (design.n_columns + 1, n_classes)
    coefficients = np.zeros(shape, dtype) if start is None else start.astype(dtype)

    def to_logits(values: NDArray) -> NDArray:
        # In columns, since sums and maxima over few classes are slow where these are next to each other.
        return np.asfortranarray(design.product(values[:-1])) + values[-1]

    def gradient_at(point: _Point) -> NDArray:
        result = np.empty(shape, dtype)
        result[:-1] = design.transposed_product(point.residuals)
        result[:-1] += dtype.type(weight_decay) * coefficients[:-1]
        result[-1] = point.residuals.sum(axis=0)
        return result

    def value_at(point: _Point) -> float:
        return point.loss + 0.5 * weight_decay * float(np.vdot(coefficients[:-1], coefficients[:-1]))

    logits = to_logits(coefficients)
    point = _evaluate(logits, labels, weights)
    preconditioner = _Preconditioner(gram, weight_decay)
    preconditioner.refresh(point, weights)
    memory = _Memory()
    gradient = gradient_at(point)
    value = value_at(point)
    suboptimality, iteration, n_stalled = np.inf, 0, 0
    ended_by: Literal["tolerance", "precision", "iterations"] = "iterations"
    for iteration in range(max_iterations + 1):
        direction = memory.direction(gradient, preconditioner)
        slope = float(np.vdot(direction, gradient))
        if slope >= 0 and memory:
            memory.clear()
            direction = memory.direction(gradient, preconditioner)
            slope = float(np.vdot(direction, gradient))
        suboptimality = abs(slope) / 2
        if suboptimality <= tolerance * value and preconditioner.refresh(point, weights, at_once=True):
            # The distance was underestimated with an outdated curvature: evaluate it again.
            direction = memory.direction(gradient, preconditioner)
            slope = float(np.vdot(direction, gradient))
            suboptimality = abs(slope) / 2
        if suboptimality <= tolerance * value:
            ended_by = "tolerance"
            break
        if iteration == max_iterations:
            break
        penalty = (
            value - point.loss,
            weight_decay * float(np.vdot(direction[:-1], coefficients[:-1])),
            weight_decay * float(np.vdot(direction[:-1], direction[:-1])),
        )
        length, logits, point = _line_search(logits, to_logits(direction), labels, weights, penalty, value, slope)
        before, step = coefficients, dtype.type(length) * direction
        coefficients = before + step
        new_value = value_at(point)
        if not new_value <= value + _ROUNDING * abs(value):  # only rounding errors are left
            coefficients = before
            ended_by = "precision"
            break
        n_stalled = n_stalled + 1 if value - new_value < 0.1 * tolerance * value else 0
        if n_stalled == _STALLED:
            ended_by = "precision"
            break
        value = new_value
        new_gradient = gradient_at(point)
        memory.add(step, new_gradient - gradient)
        gradient = new_gradient
        preconditioner.refresh(point, weights)
        if preconditioner.has_jumped:
            memory.clear()  # these pairs tell of a curvature that is gone
    return Solution(coefficients, value, suboptimality, iteration, ended_by)
