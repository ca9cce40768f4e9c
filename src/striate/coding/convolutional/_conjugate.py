"""Conjugate gradients for the coefficients that are not 0, with their signs fixed.

Where filters at neighboring positions are nearly the same, as those of smooth filters are, coordinate descent moves
slowly along the directions that hardly change the image. Once the support is nearly right, the objective is a
quadratic function there, which conjugate gradients minimize in far fewer steps. A step costs as much as a sweep of
coordinate descent: a product with each window, and its update.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.coding.convolutional._problem import Problem
from striate.coding.convolutional._sums import add_filters
from striate.coding.convolutional._working_set import WorkingSet

__all__ = ["polish"]

_STEPS = 20
_ENOUGH = 1e-2  # by this factor the gradient shrinks before the next pass over all coefficients
_HALVINGS = 3


def polish(problem: Problem, working: WorkingSet, level: float) -> None:
    """Move the coefficients that are not 0 toward the optimum for their signs; those that would change it become 0.

    Sparsities are times `level`. The working set and the residual change only if the objective is lower afterward.
    """
    kept = np.flatnonzero(working.values)
    if not len(kept):
        return
    support = WorkingSet(problem.layout, working.positions[kept], working.maps[kept], working.values[kept].copy())
    square, norm = problem.refresh(support)
    before, old, residual = 0.5 * square + level * norm, support.values, problem.residual.copy()
    step = _newton_step(problem, support, level)
    for _ in range(_HALVINGS):
        new = old + step
        support.values = np.where(new * old > 0, new, 0).astype(problem.dtype)
        square, norm = problem.refresh(support)
        if 0.5 * square + level * norm < before:
            working.values[kept] = support.values
            return
        step = step / 2
    problem.residual = residual


def _newton_step(problem: Problem, support: WorkingSet, level: float) -> NDArray[Any]:
    """An approximate minimum of the quadratic function, relative to the values; preconditioned by squared norms."""
    norms = problem.norms_of(support)
    inverse = np.where(norms > 0, 1 / np.where(norms > 0, norms, 1), 0).astype(problem.dtype)
    bounds = problem.dtype.type(level) * problem.thresholds[support.maps] * np.sign(support.values)
    left = problem.products(problem.residual, support) - bounds
    step = np.zeros_like(left)
    direction = inverse * left
    size = first = _product(left, direction)
    image = np.empty_like(problem.residual)
    for _ in range(_STEPS):
        image[:] = 0
        add_filters(image, support, direction, problem.arrays.windows, problem.n_threads)
        if problem.is_weighted:
            image *= problem.weights
        curved = problem.products(image, support)
        curvature = _product(direction, curved)
        if not curvature > 1e-12 * _product(direction, direction):  # a direction that does not change the image
            break
        share = problem.dtype.type(size / curvature)
        step += share * direction
        left -= share * curved
        scaled = inverse * left
        size, previous = _product(left, scaled), size
        if size <= _ENOUGH**2 * first:
            break
        direction = scaled + problem.dtype.type(size / previous) * direction
    return step


def _product(a: NDArray[Any], b: NDArray[Any]) -> float:
    """The inner product in double precision, the same with any number of threads."""
    return float(np.einsum("i,i->", a, b, dtype=np.float64))
