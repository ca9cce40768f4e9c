"""The results of an experiment's units, from which its figures are measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from striate.experiments.engine.unit import Unit


class NotRunError(LookupError):
    """A figure asked for units that have not finished, or that do not exist at this scale."""


class Results:
    """The finished units' results, by unit name and by settings.

    Parameters
    ----------
    scale : str
        ``"quick"`` or ``"full"``.
    units : sequence of Unit
        All units of that scale, finished or not.
    finished : mapping of str to dict
        What those units returned that have finished, by unit name.

    Attributes
    ----------
    used : set of str
        Names of the units whose results were asked for, from here or from a selection.

    Examples
    --------
    >>> def run(settings, context):
    ...     return {"accuracy": 0.9 + settings["split"] / 100}
    >>> units = [Unit(f"split {split}", {"filters": "learned", "split": split}, run) for split in (0, 1)]
    >>> finished = {unit.name: run(unit.settings, None) for unit in units}
    >>> results = Results("full", units, finished)
    >>> results.select(filters="learned").column("accuracy")
    [0.9, 0.91]
    >>> results["split 1"]["accuracy"]
    0.91
    """

    def __init__(self, scale: str, units: Sequence[Unit], finished: Mapping[str, Mapping[str, Any]]) -> None:
        self.scale = scale
        self.used: set[str] = set()
        self._units = tuple(units)
        self._finished = finished

    def __getitem__(self, unit_name: str) -> Mapping[str, Any]:
        """What the unit of that name returned; raises NotRunError while it has not finished."""
        self.used.add(unit_name)
        if unit_name not in self._finished:
            raise NotRunError(f"the unit {unit_name!r} has not finished at scale {self.scale}")
        return self._finished[unit_name]

    def __iter__(self) -> Iterator[Unit]:
        """The units, finished or not, in the experiment's order."""
        return iter(self._units)

    def __len__(self) -> int:
        """The number of units, finished or not."""
        return len(self._units)

    def select(self, **settings: Any) -> Results:
        """Return the units whose settings have all these values."""
        missing = object()
        chosen = [
            unit
            for unit in self._units
            if all(unit.settings.get(name, missing) == value for name, value in settings.items())
        ]
        selected = Results(self.scale, chosen, self._finished)
        selected.used = self.used
        return selected

    def column(self, key: str) -> list[Any]:
        """Return one value from each unit, in order.

        Raises
        ------
        NotRunError
            If there is no unit, or one of them has not finished. Otherwise a mean over some splits could be taken
            for the mean over all.
        """
        if not self._units:
            raise NotRunError(f"no unit at scale {self.scale} gives {key!r}")
        return [self[unit.name][key] for unit in self._units]
