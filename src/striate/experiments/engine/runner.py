"""Runs an experiment unit by unit; finished units come from the cache.

A run of the same experiment, seed and scale continues where the last one ended, whether its budget was used up or it
was interrupted or killed. It repeats at most the unit that was running.
"""

from __future__ import annotations

import _thread
import importlib
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from striate.cache_folder import cache_folder
from striate.errors import StriateError, UsageError
from striate.experiments.engine.cache import Finished, UnitCache
from striate.experiments.engine.data_checksum import data_checksum
from striate.experiments.engine.drawing import draw_figures
from striate.experiments.engine.experiment import Experiment, Scale
from striate.experiments.engine.fingerprint import SourceTree
from striate.experiments.engine.gradients import TWINS
from striate.experiments.engine.json_file import plain, write_json
from striate.experiments.engine.listing import read_record, results_folder
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Unit
from striate.progress import Progress, peak_memory_bytes
from striate.provenance import current_provenance, now
from striate.threads import n_threads

# Seconds. A unit with checkpoints needs more time than this to get beyond its preparations.
_SHORTEST_SLICE = 30.0

_QUICK_FOLDER = "quick-results"


@dataclass(frozen=True)
class Run:
    """The outcome of a run of an experiment.

    Parameters
    ----------
    record : dict
        What the results file holds: name, claim, scale, seed, figures, units, provenance.
    path : Path or None
        The results file; None if it was not written because a complete one stands there and this run is not.
    remaining : tuple of str
        The units that have not finished.
    reused : tuple of str
        The units that had finished before this run.
    """

    record: dict[str, Any]
    path: Path | None
    remaining: tuple[str, ...]
    reused: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether all units have finished."""
        return not self.remaining


def run_experiment(
    experiment: Experiment,
    *,
    scale: Scale = "full",
    seed: int = 0,
    budget: float | None = None,
    only: Sequence[str] = (),
    results: Path | None = None,
    reuse: Path | None = None,
    progress: Progress | None = None,
) -> Run:
    """Run the units that have not finished, then measure the figures and write the results.

    Parameters
    ----------
    experiment : Experiment
        What to run.
    scale : {"full", "quick"}
        The quick scale takes seconds and uses data that ships with striate.
    seed : int
        Handed to every unit.
    budget : float, optional
        Seconds. A unit that is not expected to finish in time is not started.
    only : sequence of str
        Names of the units to run; ``*`` and ``?`` are wildcards. Other units count if they finished earlier. Without
        names all units run.
    results : Path, optional
        Folder for NAME.json and NAME.png; by default the checkout's ``results`` for the full scale, and a
        folder in the cache for the quick one.
    reuse : Path, optional
        A results file, complete or not, for example from another machine: its units count as finished where code, data,
        settings and seed are the same.
    progress : Progress, optional
        Shows nothing by default. Its records are emptied before each unit; at the end they are those of the last unit.

    Returns
    -------
    Run
        An incomplete run replaces an incomplete results file, never a complete one.

    Raises
    ------
    UsageError
        If data is absent, no unit has such a name, or a quick run would overwrite full results.
    StriateError
        If a unit fails. The units before it stay in the cache.
    """
    deadline = None if budget is None else time.monotonic() + budget
    progress = progress or Progress()
    units = experiment.units(scale)
    chosen = _chosen(experiment, units, only)
    folder = results or (results_folder() if scale == "full" else cache_folder() / _QUICK_FOLDER)
    target = folder / f"{experiment.name}.json"
    _refuse_to_overwrite(target, scale)

    folders = _data_folders(experiment, scale)
    keys = _unit_keys(experiment, units, scale, seed, folders)
    cache = UnitCache(cache_folder() / "experiments" / experiment.name)
    if reuse is not None:
        _take_over(read_record(reuse), units, keys, cache)
    finished = {name: entry for name, key in keys.items() if (entry := cache.read(key)) is not None}
    reused = tuple(finished)
    origin = current_provenance()

    for unit in units:
        if unit.name in finished or unit.name not in chosen:
            continue
        if deadline is not None and not _fits(unit, cache.expected_seconds(unit, scale), deadline):
            progress.message(f"{unit.name}: not started, it would not finish in the time that is left")
            continue
        progress.message(f"{unit.name}: unit {len(finished) + 1} of {len(units)}")
        progress.records.clear()  # a unit reports the phases of its own work, not of the units before it
        checkpoints = cache.checkpoint_folder(keys[unit.name])
        context = Context(scale, seed, folders, checkpoints, progress, n_threads())
        entry = _measure(experiment, unit, context, origin, deadline)
        if entry is None:
            progress.message(f"{unit.name}: the budget ended; it goes on from its checkpoint next time")
            break
        cache.write(keys[unit.name], unit, entry)
        finished[unit.name] = entry

    record = _record(experiment, units, keys, finished) | {"provenance": origin}
    outcome = Results(scale, units, {name: entry.result for name, entry in finished.items()})
    return Run(record, _write(experiment, outcome, record, target), tuple(record["remaining"]), reused)


def _unit_keys(
    experiment: Experiment, units: Sequence[Unit], scale: Scale, seed: int, folders: Mapping[str, Path]
) -> dict[str, dict[str, Any]]:
    """All that each unit's result depends on, by the unit's name, which is not part of it: renaming costs nothing."""
    remembered = cache_folder() / "data-checksums"
    data = {name: data_checksum(path, remembered) for name, path in folders.items()}
    tree = SourceTree()
    for module in sorted({module for unit in units for module, _ in tree.reached(unit.run)}):
        with suppress(ImportError):  # an extra that is absent
            importlib.import_module(module)  # so that an edit during a long run changes nothing in it
    return {
        unit.name: {
            "experiment": experiment.name,
            "scale": scale,
            "seed": seed,
            "data": data,
            "code": tree.fingerprint(unit.run),
            "settings": plain(unit.settings, f"the settings of the unit {unit.name!r}"),
        }
        for unit in units
    }


def _take_over(
    record: Mapping[str, Any], units: Sequence[Unit], keys: Mapping[str, Mapping[str, Any]], cache: UnitCache
) -> None:
    """Put the units of a results file into the cache that are the same to the last part of their key."""
    common = {"experiment": record["name"], **{part: record[part] for part in ("scale", "seed", "data")}}
    for unit in units:
        key = keys[unit.name]
        if cache.read(key) is not None:
            continue
        for stored in record["units"]:
            if common | {part: stored.get(part) for part in ("code", "settings")} == key:
                cache.write(key, unit, Finished(**{part.name: stored[part.name] for part in fields(Finished)}))
                break


def _record(
    experiment: Experiment,
    units: Sequence[Unit],
    keys: Mapping[str, Mapping[str, Any]],
    finished: Mapping[str, Finished],
) -> dict[str, Any]:
    """What the results file holds, without the provenance."""
    first = keys[units[0].name]
    remaining = [unit.name for unit in units if unit.name not in finished]
    outcome = Results(first["scale"], units, {name: entry.result for name, entry in finished.items()})
    return {
        "name": experiment.name,
        "claim": experiment.claim,
        "scale": first["scale"],
        "seed": first["seed"],
        "complete": not remaining,
        "remaining": remaining,
        "seconds": round(sum(entry.seconds for entry in finished.values()), 3),
        "figures": _figures(experiment, outcome, complete=not remaining),
        "units": [
            {
                "name": unit.name,
                "function": unit.run.__qualname__,
                "settings": keys[unit.name]["settings"],
                "code": keys[unit.name]["code"],
                **asdict(finished[unit.name]),
            }
            for unit in units
            if unit.name in finished
        ],
        "data": first["data"],
    }


def _chosen(experiment: Experiment, units: Sequence[Unit], only: Sequence[str]) -> set[str]:
    names = [unit.name for unit in units]
    for pattern in only:
        if not any(_matches(name, pattern) for name in names):
            raise UsageError(
                f"--only {pattern!r}: {experiment.name} has no such unit; its units are {', '.join(names)}"
            )
    return {name for name in names if not only or any(_matches(name, pattern) for pattern in only)}


def _matches(name: str, pattern: str) -> bool:
    return name == pattern or fnmatchcase(name, pattern)  # a name may itself have brackets


def _refuse_to_overwrite(target: Path, scale: Scale) -> None:
    if scale == "quick" and target.exists() and read_record(target)["scale"] == "full":
        raise UsageError(f"{target} holds full results, which a quick run does not replace; choose another --results")


def _data_folders(experiment: Experiment, scale: Scale) -> dict[str, Path]:
    if not experiment.data[scale]:
        return {}
    from striate.images.datasets import data_folder

    folders = {}
    for name in experiment.data[scale]:
        try:
            folders[name] = Path(data_folder(name))
        except UsageError as error:
            raise UsageError(f"{experiment.name} at scale {scale}: {error}") from error
    return folders


def _fits(unit: Unit, expected: float, deadline: float) -> bool:
    left = deadline - time.monotonic()
    return expected <= left or (unit.checkpoints and left >= _SHORTEST_SLICE)


def _measure(
    experiment: Experiment,
    unit: Unit,
    context: Context,
    origin: Mapping[str, Any],
    deadline: float | None,
) -> Finished | None:
    """Run one unit; None if it was interrupted at the deadline."""
    start = time.monotonic()
    late = threading.Event()
    known = TWINS & set(sys.modules)
    try:
        with _interrupted_at(deadline if unit.checkpoints else None, late):
            result = unit.run(unit.settings, context)
    except KeyboardInterrupt:
        if late.is_set():
            return None
        raise
    except StriateError as error:
        # The same kind, so that wrong use keeps its exit code.
        kind = UsageError if isinstance(error, UsageError) else StriateError
        raise kind(f"{experiment.name}, unit {unit.name!r}: {error}") from error
    except Exception as error:
        raise StriateError(f"{experiment.name}, unit {unit.name!r}: {type(error).__name__}: {error}") from error
    if new := TWINS & set(sys.modules) - known:
        raise StriateError(
            f"{experiment.name}, unit {unit.name!r}, has run {', '.join(sorted(new))}, which its fingerprint leaves "
            "out: the experiment's own code has to name the function that makes a twin in torch"
        )
    return Finished(
        result=plain(result, f"{experiment.name}: the result of the unit {unit.name!r}"),
        seconds=round(time.monotonic() - start, 3),
        peak_memory_bytes=peak_memory_bytes(),
        threads=context.threads,
        finished=now(),
        checkout=dict(origin["checkout"]),
        versions=dict(origin["versions"]),
    )


@contextmanager
def _interrupted_at(deadline: float | None, late: threading.Event) -> Iterator[None]:
    """Raise KeyboardInterrupt in the main thread at the deadline; `late` tells it from Ctrl-C."""
    if deadline is None:
        yield
        return

    def interrupt() -> None:
        late.set()
        _thread.interrupt_main()

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # a pending interruption arrives here and not later


def _figures(experiment: Experiment, outcome: Results, *, complete: bool) -> list[dict[str, Any]]:
    rows = [figure.judge(figure.read(outcome)) for figure in experiment.figures]
    for figure, row in zip(experiment.figures, rows, strict=True):
        # At the quick scale some figures have no units; a complete full run owes all that are measured at all.
        owed = complete and outcome.scale == "full" and figure.measure is not None
        if owed and row["verdict"] == "not run":
            raise StriateError(
                f"{experiment.name}: all units have finished, but the figure {row['what']!r} was not "
                "measured; its `measure` asks for units or settings that do not exist"
            )
    return rows


def _write(experiment: Experiment, outcome: Results, record: dict[str, Any], target: Path) -> Path | None:
    if not record["complete"] and target.exists() and read_record(target)["complete"]:
        return None
    if record["complete"]:
        image = target.with_suffix(".png")
        partial = target.with_name(f".{experiment.name}.partial.png")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if experiment.draw is not None:
                experiment.draw(outcome, partial)
            else:
                draw_figures(experiment.claim, record["figures"], partial)
            partial.replace(image)
        finally:
            partial.unlink(missing_ok=True)
    write_json(target, record)
    return target
