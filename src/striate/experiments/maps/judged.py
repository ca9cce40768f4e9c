"""Figures of a map of orientations beside its controls, for every learner of maps."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate.experiments.engine.figure import Figure, Measurement
from striate.experiments.engine.results import Results

_NEAREST = "nearest pinwheel of"

__all__ = ["map_figures", "number_of", "order_figure", "order_of"]


def map_figures(name: str) -> tuple[Figure, ...]:
    """Hypercolumns and density of the map of a unit, and its distances, against shuffled units and surrogates.

    Parameters
    ----------
    name : str
        The unit, which returns what `orientation.described` does.
    """
    spread = "apart by more than 2 standard deviations of the surrogates"
    return (
        Figure(what="hypercolumns of the map", better="higher", goal=10.0, measure=number_of(name, "hypercolumns")),
        Figure(
            what="pinwheels per squared column spacing",
            better="match",
            goal=round(float(np.pi), 4),
            tolerance=round(0.15 * float(np.pi), 4),
            measure=number_of(name, "density"),
        ),
        Figure(
            what="density minus that of the shuffled sheet",
            better="higher",
            predicate="apart by more than 2 standard errors, or the shuffled sheet has no plateau",
            measure=_apart(name),
        ),
        *(
            Figure(what=what, better="higher", predicate=spread, measure=_against_surrogates(name, key))
            for what, key in (
                ("density minus that of surrogates with the same spectrum", "density"),
                (f"{_NEAREST} the same charge, in column spacings, minus the surrogates'", "nearest, equal charge"),
                (f"{_NEAREST} opposite charge, in column spacings, minus the surrogates'", "nearest, opposite charge"),
            )
        ),
    )


def order_figure(name: str) -> Figure:
    """How much smaller differences of orientation are between neighbors than between shuffled units."""
    what = "difference of orientation between neighbors, of the shuffled sheet's"
    return Figure(what=what, unit="%", better="lower", goal=50.0, measure=order_of(name))


def order_of(name: str) -> Any:
    """The difference between neighbors in percent of the shuffled sheet's."""
    return lambda results: 100 * results[name]["difference"] / results[name]["shuffled difference"]


def number_of(name: str, key: str) -> Any:
    """A number of a unit, 0 where it has none: a map without a density has not reached one."""
    return lambda results: _number(results[name][key])


def _number(value: float | None) -> float:
    return 0.0 if value is None else float(value)


def _apart(name: str) -> Any:
    def gap(results: Results) -> Measurement:
        """A shuffled sheet may have no plateau, and then no density either."""
        found, control = results[name], results[name]["shuffled"]
        if found["density"] is None or control["density"] is None:
            return Measurement(None, held=found["density"] is not None)
        error = float(np.hypot(_number(found["error"]), _number(control["error"])))
        apart = found["density"] - control["density"]
        return Measurement(apart, held=abs(apart) > 2 * error)

    return gap


def _against_surrogates(name: str, key: str) -> Any:
    def gap(results: Results) -> Measurement:
        """The map's number minus the mean of the surrogates', with their number and standard deviation."""
        own = results[name][key]
        others = [one[key] for one in results[name]["surrogates"] if one[key] is not None]
        if own is None or len(others) < 2:
            return Measurement(None, held=False)
        spread = float(np.std(others, ddof=1))
        apart = own - float(np.mean(others))
        return Measurement(apart, spread, len(others), held=abs(apart) > 2 * spread)

    return gap
