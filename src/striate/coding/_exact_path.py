"""The path of one signal by an orthogonal basis of its active units, which is accurate for nearly dependent units too.

Kernels work from the Gram matrix, whose condition number is the square of the dictionary's. Here the active units'
directions are E = R'Q' with Q orthonormal, and with b = Q'y, R'u = v∘s (bounds and signs) the code of a level λ is
R⁻¹(b − λu) and its residual y − Qb + λQu: each breakpoint is computed from the signal, so that errors do not
accumulate.
The correlation of a unit that depends on the active ones has a fixed ratio to λ as long as they are active, so that it
is left out until one of them leaves. If ties make the active set cycle, bounds are perturbed by about 1e-12, as in
linear programming.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Limits", "exact_path"]

_DEPENDENT = 1e-12  # share of a unit's norm outside the span of the active ones, below which it is dependent
_EXPLAINED = 1e-14  # share of a signal's norm, below which the residual is only rounding
_PERTURBATIONS = (0.0, 1e-13, 1e-11)
_PATIENCE = 20  # steps at one level, in addition to two per active unit
_Array = NDArray[np.float64]


class Limits(NamedTuple):
    """The limits of a path, which ends at the first that is reached."""

    lowest: float = 0.0
    max_nonzero: int | None = None
    residual: float | None = None


def exact_path(
    signal: NDArray[Any], units: NDArray[Any], weights: _Array, limits: Limits, *, positive: bool
) -> tuple[_Array, _Array]:
    """Breakpoints of one signal: sparsities (n,), falling, and codes (n, n_units); between them codes are linear.

    Parameters
    ----------
    signal : (n_features,)
    units : (n_units, n_features)
    weights : (n_units,)
        0 for a unit that is never penalized, infinity for one that is excluded.
    limits : Limits
    positive : bool
    """
    # Scaled by powers of two, so that nothing overflows and nothing is rounded.
    exponent = int(np.frexp(np.abs(signal).max(initial=0))[1])
    y = np.ldexp(signal.astype(np.float64), -exponent)
    exponents = np.frexp(np.abs(units).max(axis=1))[1]
    scaled = np.ldexp(units.astype(np.float64), -exponents[:, np.newaxis])
    norms = np.linalg.norm(scaled, axis=1)
    used = np.flatnonzero((norms > 0) & np.isfinite(weights))
    # A unit's bound is its weight over its norm; the largest is 1, and sparsities are in units of `scale`.
    with np.errstate(over="ignore"):
        bounds = weights[used] / norms[used]
        shifts = exponents[used] - (exponents[used].max() if len(used) else 0)
        bounds = np.ldexp(bounds, -shifts)
    largest = float(bounds.max(initial=0)) or 1.0
    common = exponent + (int(exponents[used].max()) if len(used) else 0)
    lowest = np.ldexp(limits.lowest * largest, -common)
    residual = None if limits.residual is None else float(np.ldexp(limits.residual, -exponent))
    scaled_limits = Limits(float(lowest), limits.max_nonzero, residual)
    directions = scaled[used] / norms[used, np.newaxis]
    for amount in _PERTURBATIONS:
        perturbed = bounds / largest * (1 + amount * np.random.default_rng(0).random(len(used)))
        walk = _Walk(y, directions, perturbed, scaled_limits, positive)
        if walk.run():
            break
    levels = np.ldexp(np.array(walk.levels) / largest, common)
    codes = np.zeros((len(levels), len(units)))
    codes[:, used] = np.ldexp(np.array(walk.codes) / norms[used], exponent - exponents[used])
    return levels, codes


class _Walk:
    """One path of a signal whose units have norm 1."""

    def __init__(self, y: _Array, units: _Array, bounds: _Array, limits: Limits, positive: bool) -> None:
        self.y, self.units, self.bounds, self.limits, self.positive = y, units, bounds, limits, positive
        n_units, n_features = units.shape
        self.active: list[int] = []
        self.signs = np.zeros(n_units)  # of the active units; 0 elsewhere
        self.basis = np.zeros((n_features, 0))
        self.factor = np.zeros((0, 0))
        self.refused = np.zeros(n_units, bool)
        self.levels: list[float] = []
        self.codes: list[_Array] = []

    def run(self) -> bool:
        """Follow the path to its end; False if the active set cycled."""
        level, joining = self._begin()
        just_left = (-1, 0)  # a unit and its present bound, from which it moves inward
        n_steps = 0  # at one level
        while level > self.limits.lowest and joining is not None:
            if len(self.active) == self.limits.max_nonzero and self._outside(joining[0])[1] is not None:
                break
            self._join(*joining)
            self._solve()
            joining, leaving = None, 0
            while joining is None and leaving >= 0 and level > self.limits.lowest:
                below, joining, leaving = self._next(level, just_left)
                if self.limits.residual is not None and (end := self._reaches(self.limits.residual)) >= below:
                    self._record(min(end, level))
                    return True
                just_left = (-1, 0)
                if leaving >= 0:
                    just_left = (self.active[leaving], int(self.signs[self.active[leaving]]))
                    self._leave(leaving)
                    self._solve()  # at the breakpoint itself, the code is that of the remaining units
                if below < level:
                    self._record(below)
                    level, n_steps = below, 0
                n_steps += 1
                if n_steps > _PATIENCE + 2 * len(self.active):
                    return False
        return True

    def _reaches(self, norm: float) -> float:
        """The level at which the residual of these active units has a given norm; negative if it is always longer."""
        room, growth = norm**2 - float(self._rest @ self._rest), float(self._slant @ self._slant)
        return float(np.sqrt(room / growth)) if room > 0 and growth > 0 else -1.0

    def _begin(self) -> tuple[float, tuple[int, int] | None]:
        """Units without a penalty, the level from which on others join, and the first that does, with its sign."""
        free = np.flatnonzero(self.bounds == 0)
        if len(free):
            if self.positive:
                from scipy.optimize import nnls

                values = nnls(self.units[free].T, self.y)[0]
                free = free[values > 0]
            for unit in free:
                self._join(int(unit), 1)
        self._solve()
        correlations = self.units @ self._rest
        penalized = self.bounds > 0
        size = correlations if self.positive else np.abs(correlations)
        noise = _EXPLAINED * float(np.linalg.norm(self.y))
        ratios = np.where(penalized & (size > noise), size, 0) / np.where(penalized, self.bounds, 1)
        first = int(ratios.argmax()) if len(ratios) else -1
        if first < 0 or not ratios[first] > 0:
            self._record(0.0)
            return 0.0, None
        level = float(ratios[first])
        self._record(level)
        return level, (first, 1 if correlations[first] > 0 else -1)

    def _outside(self, unit: int) -> tuple[_Array, _Array | None]:
        """The components of a unit along the basis and outside it; the latter is None if there is none."""
        rest = self.units[unit].copy()
        along = self.basis.T @ rest
        rest -= self.basis @ along
        again = self.basis.T @ rest  # the second pass makes it orthogonal up to rounding
        rest -= self.basis @ again
        return along + again, rest if np.linalg.norm(rest) > _DEPENDENT else None

    def _join(self, unit: int, sign: int) -> None:
        along, outside = self._outside(unit)
        if outside is None:
            self.refused[unit] = True
            return
        m = len(self.active)
        norm = np.linalg.norm(outside)
        self.basis = np.column_stack([self.basis, outside / norm])
        factor = np.zeros((m + 1, m + 1))
        factor[:m, :m], factor[:m, m], factor[m, m] = self.factor, along, norm
        self.factor = factor
        self.active.append(unit)
        self.signs[unit] = sign

    def _leave(self, place: int) -> None:
        from scipy.linalg import qr_delete

        unit = self.active.pop(place)
        self.signs[unit] = 0
        self.refused[:] = False
        if not self.active:
            self.basis, self.factor = self.basis[:, :0], np.zeros((0, 0))
        elif self.basis.shape[1] == len(self.y):  # a square array would be taken for a complete basis
            self.basis, self.factor = np.linalg.qr(self.units[self.active].T)
        else:
            self.basis, self.factor = qr_delete(self.basis, self.factor, place, which="col")

    def _solve(self) -> None:
        """Code, residual and correlations of these active units as functions of the level."""
        from scipy.linalg import solve_triangular

        along = self.basis.T @ self.y
        self._rest = self.y - self.basis @ along
        self._rest -= self.basis @ (self.basis.T @ self._rest)
        if not np.linalg.norm(self._rest) > _EXPLAINED * np.linalg.norm(self.y):
            self._rest[:] = 0
        tied = self.bounds[self.active] * self.signs[self.active]
        if self.active:
            pull = solve_triangular(self.factor, tied, trans="T")
            self._value = solve_triangular(self.factor, along)
            self._speed = solve_triangular(self.factor, pull)
        else:
            pull = self._value = self._speed = np.zeros(0)
        self._slant = self.basis @ pull

    def _next(self, level: float, just_left: tuple[int, int]) -> tuple[float, tuple[int, int] | None, int]:
        """The next level at which the active set changes, with the unit that joins and its sign, or that leaves."""
        fixed, moving = self.units @ self._rest, self.units @ self._slant
        is_out = (self.signs == 0) & ~self.refused
        below, joining, leaving = self.limits.lowest, None, -1
        for sign in (1, -1) if not self.positive else (1,):
            closing = self.bounds - sign * moving
            may = is_out & (closing > 0) & (sign * fixed > 0)
            if just_left[1] == sign:
                may[just_left[0]] = False
            if may.any():
                levels = np.where(may, sign * fixed, 0) / np.where(may, closing, 1)
                unit = int(levels.argmax())
                if levels[unit] > below:
                    below, joining = min(float(levels[unit]), level), (unit, sign)
        signs = self.signs[self.active]
        may_leave = (signs * self._speed < 0) & ((self.bounds[self.active] > 0) | self.positive)
        if may_leave.any():
            levels = np.where(may_leave, self._value, 0) / np.where(may_leave, self._speed, 1)
            place = int(levels.argmax())
            if min(levels[place], level) > below:
                below, joining, leaving = min(float(levels[place]), level), None, place
        return below, joining, leaving

    def _record(self, level: float) -> None:
        code = np.zeros(len(self.units))
        values = self._value - level * self._speed
        code[self.active] = np.maximum(values, 0) if self.positive else values
        self.levels.append(level)
        self.codes.append(code)
