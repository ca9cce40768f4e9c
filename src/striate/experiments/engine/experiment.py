"""An experiment: one result of the literature, as a module that declares what it measures.

Such a module, in one of the folders of ``striate/experiments``, has

- ``NAME``, as ``striate experiment`` takes it, e.g. ``"main-job-digits"``,
- ``CLAIM``, one sentence: what the result would show,
- ``DATA``, the data sets that each scale needs, e.g. ``{"quick": (), "full": ("mnist",)}``,
- ``FIGURES``, the `Figure`s, declared with their published numbers and goals before anything runs,
- ``units(scale)``, which returns the `Unit`s,
- and may have ``draw(results, path)``, which writes a PNG; without it the figures are drawn beside their
  goals.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Literal, get_args

from striate.errors import StriateError, UsageError
from striate.experiments.engine.figure import Figure
from striate.experiments.engine.json_file import plain
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Unit

Scale = Literal["quick", "full"]
SCALES: tuple[Scale, ...] = get_args(Scale)

_REQUIRED = ("NAME", "CLAIM", "DATA", "FIGURES", "units")


@dataclass(frozen=True)
class Experiment:
    """What an experiment's module declares, checked.

    Parameters
    ----------
    name, claim : str
        The module's ``NAME`` and ``CLAIM``.
    data : mapping of scale to names
        The data sets that must be there.
    figures : tuple of Figure
        At least one.
    make_units : callable
        The module's ``units``; `units` calls and checks it.
    draw : callable of (Results, Path), or None
        Writes the PNG.
    source : Path
        The module's file.
    """

    name: str
    claim: str
    data: Mapping[str, tuple[str, ...]]
    figures: tuple[Figure, ...]
    make_units: Callable[[Scale], Sequence[Unit]] = field(repr=False)
    draw: Callable[[Results, Path], None] | None = field(repr=False)
    source: Path

    def units(self, scale: Scale) -> tuple[Unit, ...]:
        """Return the units of a scale.

        Raises
        ------
        UsageError
            If there is no such scale.
        StriateError
            If there is no unit, two have the same name, or settings cannot be written as JSON.
        """
        if scale not in SCALES:
            raise UsageError(f"there is no scale {scale!r}; use {' or '.join(SCALES)}")
        units = tuple(self.make_units(scale))
        if not units:
            raise StriateError(f"the experiment {self.name} has no units at scale {scale}; return at least one")
        names = [unit.name for unit in units]
        for name in names:
            if names.count(name) > 1:
                raise StriateError(f"the experiment {self.name} has two units named {name!r}; name them apart")
        for unit in units:
            plain(unit.settings, f"the settings of the unit {unit.name!r}")
        return units


def load(module_name: str) -> Experiment:
    """Import an experiment's module and return what it declares."""
    return from_module(importlib.import_module(module_name))


def from_module(module: ModuleType) -> Experiment:
    """Check what a module declares.

    Raises
    ------
    StriateError
        If a part is missing or of the wrong kind.
    """
    where = f"the experiment's module {module.__name__}"
    for part in _REQUIRED:
        if not hasattr(module, part):
            raise StriateError(f"{where} has no {part}; an experiment declares {', '.join(_REQUIRED)}")
    name, claim, data, figures = module.NAME, module.CLAIM, module.DATA, tuple(module.FIGURES)
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise StriateError(f"{where} has NAME = {name!r}; use small letters, digits and single hyphens")
    if not isinstance(claim, str) or not claim.strip():
        raise StriateError(f"{where} has an empty CLAIM; say in a sentence what the result would show")
    if set(data) != set(SCALES) or any(isinstance(names, str) for names in data.values()):
        raise StriateError(f'{where} has DATA = {data!r}; give both scales, e.g. {{"quick": (), "full": ("mnist",)}}')
    if not figures or not all(isinstance(figure, Figure) for figure in figures):
        raise StriateError(f"{where} has FIGURES = {figures!r}; declare at least one Figure")
    whats = [figure.what for figure in figures]
    for what in whats:
        if whats.count(what) > 1:
            raise StriateError(f"{where} has two figures named {what!r}; name them apart")
    assert module.__file__ is not None
    return Experiment(
        name=name,
        claim=claim,
        data={scale: tuple(data[scale]) for scale in SCALES},
        figures=figures,
        make_units=module.units,
        draw=getattr(module, "draw", None),
        source=Path(module.__file__),
    )
