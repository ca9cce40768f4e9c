"""A figure: one number that was published or is aimed at, what was measured, and the verdict.

The verdict is computed here and nowhere else. The goal, where there is one, is what counts; otherwise the
published number. A claim about a shape only ("error falls with the number of labels") needs a predicate that
can fail.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np

from striate.errors import StriateError
from striate.experiments.engine.results import NotRunError, Results

Better = Literal["higher", "lower", "match"]

# A mean of floats may fall short of its target by rounding alone.
_ROUNDING = 1e-9


class FigureError(StriateError):
    """A figure is declared or measured in a way that allows no verdict."""


@dataclass(frozen=True)
class Measurement:
    """What was measured for one figure.

    Parameters
    ----------
    value : float or None
        The number, in the figure's unit; None only for a figure of a shape.
    uncertainty : float or None
        Standard error over splits or seeds, in the same unit; None when `n` is 1.
    n : int
        Number of splits or seeds.
    held : bool or None
        For a figure of a shape: whether its predicate holds.
    """

    value: float | None
    uncertainty: float | None = None
    n: int = 1
    held: bool | None = None


def over(values: Iterable[float]) -> Measurement:
    """Return the mean of one value per split or seed, with its standard error.

    Parameters
    ----------
    values : iterable of float, (n,)
        At least one.

    Returns
    -------
    Measurement
        The uncertainty is the sample standard deviation (n − 1) over √n, None for a single value.
    """
    numbers = [float(value) for value in values]
    n = len(numbers)
    if n == 0:
        raise FigureError("a mean over no values was asked for; give one value for each split or seed")
    mean = math.fsum(numbers) / n
    if n == 1:
        return Measurement(mean)
    variance = math.fsum((number - mean) ** 2 for number in numbers) / (n - 1)
    return Measurement(mean, math.sqrt(variance / n), n)


def paired(first: Iterable[float], second: Iterable[float]) -> Measurement:
    """Return the mean of the differences first − second, taken per split or seed, with its standard error.

    Parameters
    ----------
    first, second : iterable of float, (n,)
        Values of the same splits or seeds, in the same order.
    """
    return over([one - other for one, other in zip(first, second, strict=True)])


def holding(found: Measurement, predicate: Callable[[float, float], bool]) -> Measurement:
    """Return the measurement with whether a predicate of its value and its standard error (0 if n is 1) holds."""
    if found.value is None:
        raise FigureError("a predicate of a measurement without a value was asked for; measure a number")
    return replace(found, held=bool(predicate(found.value, found.uncertainty or 0.0)))


def above(values: Sequence[float], bound: float) -> Measurement:
    """Return the mean as `over` does; it holds if every value is above the bound."""
    return replace(over(values), held=bool(min(values) > bound))


def below(values: Sequence[float], bound: float) -> Measurement:
    """Return the mean as `over` does; it holds if every value is below the bound."""
    return replace(over(values), held=bool(max(values) < bound))


Measure = Callable[[Results], "float | Iterable[float] | bool | Measurement"]


def column(key: str, factor: float = 1.0, **settings: Any) -> Callable[[Results], list[float]]:
    """Return a `measure`: one value, times a factor, of each unit with these settings."""
    return lambda results: [factor * value for value in results.select(**settings).column(key)]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of an experiment, declared before anything runs.

    Parameters
    ----------
    what : str
        What is measured, e.g. ``"accuracy from 100 labels"``; unique in the experiment.
    measure : callable of Results
        Returns one number for each split or seed (their mean and standard error are taken), a single number,
        or a `Measurement`. A figure of a shape returns a bool, or a `Measurement` with `held`. It may raise
        NotRunError (by asking for units that have not finished): the figure is then "not run". None is for a published
        number that no unit measures, so that a table shows it beside the others, as "not run".
    better : {"higher", "lower", "match"}
        Which measured values reach the target.
    unit : str
        Printed behind the number, e.g. ``"%"``: all numbers of the figure are in this unit.
    published : float or None
        The number in the literature.
    source : str
        Where it was published: paper and table. Needed with `published`; a number that is only recalled is no
        published one.
    goal : float or None
        What striate should reach. It decides the verdict, even beside a published number.
    tolerance : float or None
        The largest difference that still matches; required for ``"match"``, and refused elsewhere.
    predicate : str
        What must hold, in words. It is required where there is neither a published number nor a goal, and refused
        elsewhere.
    history : tuple of str
        One line, with its reason, for each change of a goal, tolerance or predicate after a measurement.
    """

    what: str
    measure: Measure | None = field(repr=False, compare=False)
    better: Better
    unit: str = ""
    published: float | None = None
    source: str = ""
    goal: float | None = None
    tolerance: float | None = None
    predicate: str = ""
    history: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse declarations that allow no verdict."""
        if not self.what.strip():
            raise FigureError("a figure needs a `what` that says what is measured")
        if self.better not in get_args(Better):
            raise self._error(f"has better={self.better!r}", 'write "higher", "lower" or "match"')
        for name in ("published", "goal", "tolerance"):
            value = getattr(self, name)
            if value is not None and not _is_finite_number(value):
                raise self._error(f"has {name}={value!r}", "give a finite number or None")
        if self.published is not None and not self.source.strip():
            raise self._error("has a published number without a source", "name the paper and its table")
        if self.published is not None and "recalled" in self.source.lower():
            raise self._error("has a published number that is only recalled", "make it the goal, with that remark")
        if not isinstance(self.history, tuple) or not all(line.strip() for line in self.history):
            raise self._error(f"has history={self.history!r}", "give a tuple of sentences")
        if self.measure is None and self.published is None:
            raise self._error("is not measured, and nothing was published", "give a `measure`, or drop the figure")
        if self.is_shape and not self.predicate.strip():
            raise self._error(
                "has neither a published number nor a goal",
                "give one, or a predicate that can be tested",
            )
        if not self.is_shape and self.predicate:
            raise self._error("has a predicate beside a number", "drop the predicate: the number decides the verdict")
        if self.better == "match" and not self.is_shape and self.tolerance is None:
            raise self._error("must match a number without a tolerance", "state the tolerance")
        if self.tolerance is not None and (self.better != "match" or self.is_shape):
            raise self._error("has a tolerance but no number to match", "drop the tolerance")
        if self.tolerance is not None and self.tolerance <= 0:
            raise self._error(f"has tolerance={self.tolerance!r}", "give a positive number")

    @property
    def is_shape(self) -> bool:
        """Whether there is neither a published number nor a goal."""
        return self.published is None and self.goal is None

    def read(self, results: Results) -> Measurement | None:
        """Measure the figure; None while units that it needs have not finished, or if none measures it."""
        if self.measure is None:
            return None
        try:
            measured = self.measure(results)
            if isinstance(measured, Measurement):
                return measured
            if isinstance(measured, bool | np.bool_):
                return Measurement(None, held=bool(measured))
            if isinstance(measured, Iterable):
                return over(measured)
            return Measurement(float(measured))
        except NotRunError:
            return None
        except (LookupError, TypeError, ValueError) as error:
            raise self._error(
                f"could not be measured ({type(error).__name__}: {error})",
                "compare its `measure` with what the units return",
            ) from error

    def judge(self, measurement: Measurement | None) -> dict[str, Any]:
        """Return the figure as results hold it: what was declared, what was measured, and the verdict.

        Parameters
        ----------
        measurement : Measurement or None
            None for a figure that has not been measured.

        Returns
        -------
        dict
            ``what``, ``unit``, ``published``, ``source``, ``goal``, ``measured``, ``uncertainty``, ``n``,
            ``better``, ``verdict`` ("met", "short", "shape" or "not run"), ``history``; with ``tolerance`` where
            a number is to be matched, ``predicate`` and ``held`` for a shape.

        Raises
        ------
        FigureError
            If the measurement is not finite, has an impossible uncertainty or n, or does not suit the figure.
        """
        row: dict[str, Any] = {
            "what": self.what,
            "unit": self.unit,
            "published": self.published,
            "source": self.source,
            "goal": self.goal,
            "measured": None,
            "uncertainty": None,
            "n": 0,
            "better": self.better,
            "verdict": "not run",
            "history": list(self.history),
        }
        if self.tolerance is not None:
            row["tolerance"] = self.tolerance
        if self.is_shape:
            row |= {"predicate": self.predicate, "held": None}
        if measurement is None:
            return row
        self._check(measurement)
        row["measured"] = measurement.value
        row["uncertainty"] = measurement.uncertainty
        row["n"] = measurement.n
        if self.is_shape:
            return row | {"held": measurement.held, "verdict": "shape"}
        return row | {"verdict": "met" if self._reaches(measurement.value) else "short"}

    def _reaches(self, value: float | None) -> bool:
        target = self.goal if self.goal is not None else self.published
        assert value is not None
        assert target is not None
        slack = _ROUNDING * max(abs(value), abs(target))
        if self.better == "higher":
            return value >= target - slack
        if self.better == "lower":
            return value <= target + slack
        assert self.tolerance is not None
        return abs(value - target) <= self.tolerance + slack

    def _check(self, measurement: Measurement) -> None:
        value, uncertainty, n, held = (
            measurement.value,
            measurement.uncertainty,
            measurement.n,
            measurement.held,
        )
        if self.is_shape and not isinstance(held, bool):
            raise self._error("was measured without saying whether its predicate holds", "return True or False")
        if not self.is_shape and held is not None:
            raise self._error("has a number to reach, but was measured as true or false", "return the number")
        if value is None and not self.is_shape:
            raise self._error("was measured as None", "raise NotRunError where there is nothing to measure")
        if value is not None and not _is_finite_number(value):
            raise self._error(f"was measured as {value!r}", "find out why; only finite numbers count")
        if not isinstance(n, int) or isinstance(n, bool) or n < 1:
            raise self._error(f"was measured with n={n!r}", "give the number of splits or seeds")
        if uncertainty is not None and (not _is_finite_number(uncertainty) or uncertainty < 0):
            raise self._error(f"has the uncertainty {uncertainty!r}", "give a finite number, not negative")
        if uncertainty is not None and n == 1:
            raise self._error("has an uncertainty over one split", "a standard error needs two or more; leave it None")

    def _error(self, wrong: str, remedy: str) -> FigureError:
        return FigureError(f"the figure {self.what!r} {wrong}; {remedy}")


def measurement_of(row: dict[str, Any]) -> Measurement | None:
    """Return what a figure in a results file was measured as; None if it was not run."""
    if row["verdict"] == "not run":
        return None
    return Measurement(row["measured"], row["uncertainty"], row["n"], row.get("held"))


def _is_finite_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
