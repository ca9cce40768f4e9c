"""A unit: one cell or one split of an experiment, measured by a pure function of data, settings and seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from striate.errors import UsageError
from striate.progress import Progress

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Context:
    """What the runner gives to a unit in addition to its settings.

    Parameters
    ----------
    scale : str
        ``"quick"`` or ``"full"``.
    seed : int
        The run's seed. A unit that has a seed or a split of its own draws from ``(seed, split)``.
    folders : mapping of str to Path
        Where each data set is that the experiment declared for this scale.
    checkpoint_folder : Path
        Where units of more than ten minutes save their progress. It survives a killed unit and is removed when
        the unit has finished. It need not exist yet.
    progress : Progress
        Where phases are reported.
    threads : int
        How many threads the unit may use.
    """

    scale: str
    seed: int
    folders: Mapping[str, Path]
    checkpoint_folder: Path
    progress: Progress
    threads: int

    def data(self, name: str) -> Path:
        """Return the folder of a declared data set.

        Raises
        ------
        UsageError
            If the experiment does not declare `name` for this scale: its content would then be missing in the
            key of the unit's cached result.
        """
        if name not in self.folders:
            raise UsageError(
                f"the unit reads the data set {name!r}, which the experiment does not declare at scale "
                f"{self.scale}; add it to the module's DATA"
            )
        return self.folders[name]

    def working_folder(self) -> Path:
        """Return `checkpoint_folder`, created if necessary, for saved progress and other files of the unit."""
        self.checkpoint_folder.mkdir(parents=True, exist_ok=True)
        return self.checkpoint_folder


@dataclass(frozen=True)
class Unit:
    """One piece of an experiment that is measured, and cached, as a whole.

    Parameters
    ----------
    name : str
        Unique in the experiment, e.g. ``"learned, split 2"``; ``--only`` and the results refer to it.
    settings : mapping
        Everything that distinguishes this unit from others with the same `run`, as JSON can hold it.
    run : callable of (settings, Context)
        Returns a dictionary of numbers, strings and (nested) lists of them; NumPy arrays and scalars are
        converted. It depends on its data, settings and seed only.
    expected_seconds : float
        A guess for two cores, for a ``--budget``. Durations of units that have finished on this machine replace it.
    checkpoints : bool
        The unit saves its progress in ``context.checkpoint_folder`` and continues from there. The runner then
        starts it even if it cannot finish in the budget, and interrupts it (KeyboardInterrupt) at the end.
    """

    name: str
    settings: Settings
    run: Callable[[Settings, Context], Mapping[str, Any]] = field(repr=False)
    expected_seconds: float = 60.0
    checkpoints: bool = False
