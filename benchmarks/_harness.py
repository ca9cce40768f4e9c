"""What all benchmarks share: alternating repetitions, ratios with spread, a quiet machine, JSON with its origin.

A benchmark is a file that names its contestants, asserts that they do the same work, and hands them over::

    harness = Harness("coding", "Exact codes of the same patches, at the same gap.")
    timings = harness.alternate({"striate": ours, "scikit-learn": theirs}, check=same_objective)
    harness.report("256 units, float32", timings, reference="scikit-learn")
    harness.finish()
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from striate.experiments.engine.json_file import write_json
from striate.provenance import current_provenance

RESULTS = Path(__file__).resolve().parent / "results"

# Tasks of others that run at the same time, on average. A desktop that does nothing stays below.
_QUIET = 0.3
_PATIENCE = 120.0


class Timings:
    """Seconds of each repetition, contestant by contestant; repetition i of all ran in the same round.

    Parameters
    ----------
    seconds : dict of str to list of float
        Lists of the same length.
    """

    def __init__(self, seconds: Mapping[str, list[float]]) -> None:
        self.seconds = dict(seconds)

    def median(self, name: str) -> float:
        """Return the median of a contestant's repetitions."""
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, reference: str) -> dict[str, float]:
        """Return how many times faster `name` is than `reference`: median of the rounds' ratios, with quartiles.

        The ratio is taken within each round, where both met the same machine, and only then summarized.
        """
        pairs = zip(self.seconds[reference], self.seconds[name], strict=True)
        ratios = sorted(theirs / ours for theirs, ours in pairs)
        if len(ratios) == 1:
            low = high = ratios[0]
        else:
            low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return {"median": statistics.median(ratios), "lower_quartile": low, "upper_quartile": high}


class Harness:
    """One benchmark: its options, its measurements and its results file.

    Parameters
    ----------
    name : str
        Names ``benchmarks/results/NAME.json``.
    question : str
        What is compared, in a sentence.
    repetitions : int
        Rounds, unless ``--repetitions`` says otherwise.
    options : callable of ArgumentParser, optional
        Adds a benchmark's own options.
    arguments : list of str, optional
        The command line; that of the process by default.

    Attributes
    ----------
    options : argparse.Namespace
        The command line, read.
    """

    def __init__(
        self,
        name: str,
        question: str,
        *,
        repetitions: int = 7,
        options: Callable[[argparse.ArgumentParser], object] | None = None,
        arguments: list[str] | None = None,
    ) -> None:
        self.name = name
        self.question = question
        parser = argparse.ArgumentParser(description=question)
        parser.add_argument("--repetitions", type=_at_least_one, default=repetitions, help="rounds (%(default)s)")
        parser.add_argument("--busy", action="store_true", help="measure on a busy machine; the results say so")
        parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON file")
        if options is not None:
            options(parser)
        parser.add_argument(
            "--keep", action="store_true", help="keep what an earlier run measured and this one does not"
        )
        self.options = parser.parse_args(arguments)
        self.rows: list[dict[str, Any]] = []
        self._kept = _earlier_rows(Path(self.options.results) / f"{name}.json") if self.options.keep else []
        self._tasks_of_others = wait_for_quiet(allow_busy=self.options.busy)
        self._load_average = _load_average()
        print(f"{name}: {question}")

    def alternate(
        self,
        contestants: Mapping[str, Callable[[], Any]],
        *,
        warm_up: int = 1,
        pause: float = 0.0,
        check: Callable[[Mapping[str, Any]], object] | None = None,
    ) -> Timings:
        """Time the contestants in turn, round by round.

        Parameters
        ----------
        contestants : mapping of str to callable
            Each does its whole work when called.
        warm_up : int
            Rounds before the first that counts: kernels compile, caches fill.
        pause : float
            Seconds before each repetition: idle threads of the one before, of BLAS or OpenMP, spin for a while before
            they sleep, and would take a processor from the next.
        check : callable, optional
            Is handed what each returned in its last warm-up, before a time is taken; it raises if they did not do
            the same work. Needs `warm_up` of at least 1.

        Returns
        -------
        Timings
            Each round begins with another contestant, so that none always follows the same one.
        """
        if check is not None and warm_up < 1:
            raise ValueError("a check needs a warm-up round, whose results it compares; give warm_up=1 or more")
        names = list(contestants)
        for _ in range(warm_up):
            returned = {name: contestants[name]() for name in names}
        if check is not None:
            check(returned)
        seconds: dict[str, list[float]] = {name: [] for name in names}
        for repetition in range(self.options.repetitions):
            first = repetition % len(names)
            for name in names[first:] + names[:first]:
                time.sleep(pause)
                start = time.perf_counter()
                contestants[name]()
                seconds[name].append(time.perf_counter() - start)
        return Timings(seconds)

    def report(
        self,
        workload: str,
        timings: Timings,
        *,
        reference: str | None = None,
        goals: Mapping[str, float] | None = None,
        **facts: Any,
    ) -> None:
        """Print a workload's timings and keep them for the results file.

        Parameters
        ----------
        workload : str
            What was worked on, e.g. ``"256 units of 12x12, float32"``.
        timings : Timings
            What `alternate` returned.
        reference : str, optional
            The contestant that all others are compared with.
        goals : mapping of str to float, optional
            Seconds that a contestant's median is meant to stay below.
        **facts
            What belongs beside the times: gap reached, threads, sizes.
        """
        row: dict[str, Any] = {"workload": workload, **facts, "contestants": {}}
        print(f"  {workload}")
        for name, seconds in timings.seconds.items():
            entry: dict[str, Any] = {
                "median_seconds": timings.median(name),
                "minimum_seconds": min(seconds),
                "seconds": seconds,
            }
            spread = f"{_time(min(seconds))} to {_time(max(seconds))}"
            line = f"    {name:<28} {_time(timings.median(name)):>10}   ({spread})"
            if reference is not None and name != reference:
                ratio = entry["times_faster"] = timings.ratio(name, reference)
                quartiles = f"{ratio['lower_quartile']:.2f} to {ratio['upper_quartile']:.2f}"
                line += f"   {ratio['median']:.2f} x {reference} ({quartiles})"
            if goals and name in goals:
                entry["goal_seconds"] = goals[name]
                met = entry["verdict"] = "met" if timings.median(name) <= goals[name] else "short"
                line += f"   goal {_time(goals[name])}: {met}"
            row["contestants"][name] = entry
            print(line)
        if reference is not None:
            row["reference"] = reference
        self.rows.append(row)
        self._write()  # a run that is stopped has not been for nothing

    def all_rows(self) -> list[dict[str, Any]]:
        """What was measured, after what is kept of an earlier run."""
        measured = {row["workload"] for row in self.rows}
        return [*(row for row in self._kept if row["workload"] not in measured), *self.rows]

    def kept_workloads(self) -> set[str]:
        """Names of what is kept of an earlier run."""
        return {row["workload"] for row in self._kept}

    def finish(self) -> Path:
        """Write the results file and return its path."""
        path = self._write()
        print(f"  written to {path.name}")
        return path

    def _write(self) -> Path:
        path = Path(self.options.results) / f"{self.name}.json"
        document = {
            "name": self.name,
            "question": self.question,
            "repetitions": self.options.repetitions,
            "load": {
                "tasks_of_others": self._tasks_of_others,
                "load_average": self._load_average,
                "busy": self._tasks_of_others > _QUIET,
            },
            "workloads": self.all_rows(),
            "provenance": current_provenance(),
        }
        write_json(path, document)
        return path


class Watched:
    """The largest memory that a process had, from its status every tenth of a second."""

    def __init__(self, pid: int) -> None:
        self.resident = self.private = self.mapped = 0
        self._path = Path(f"/proc/{pid}/status")
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            try:
                lines = self._path.read_text("ascii").splitlines()
            except OSError:
                return
            numbers = {line.split(":")[0]: line.split() for line in lines}
            if "VmRSS" not in numbers:
                return
            resident, private, mapped = (1024 * int(numbers[key][1]) for key in ("VmRSS", "RssAnon", "RssFile"))
            self.resident = max(self.resident, resident)
            self.private, self.mapped = max(self.private, private), max(self.mapped, mapped)
            time.sleep(0.1)


def _earlier_rows(path: Path) -> list[dict[str, Any]]:
    """What a results file holds, each row with the commit that it was measured at."""
    if not path.exists():
        return []
    document = json.loads(path.read_text("utf-8"))
    commit = document["provenance"].get("commit")
    return [{"commit": commit} | row for row in document["workloads"]]


def wait_for_quiet(*, allow_busy: bool, patience: float = _PATIENCE) -> float:
    """Return how many tasks of others run, once the machine is quiet; leave the process if it stays busy.

    The load average alone would not do: after one benchmark it stays high for minutes, by that benchmark's own work.
    """
    deadline = time.monotonic() + patience
    while True:
        others = tasks_of_others()
        if others <= _QUIET or allow_busy:
            return others
        if time.monotonic() > deadline:
            sys.exit(
                f"the machine is busy: {others:.1f} other tasks run on average (load average "
                f"{_load_average()[0]:.1f}); wait until it is quiet, or give --busy and do not trust the numbers"
            )
        print(f"waiting for a quiet machine ({others:.1f} other tasks run)", file=sys.stderr)
        time.sleep(10)


def tasks_of_others(*, seconds: float = 2.0) -> float:
    """Return how many tasks beside this one run at a time, on average over some seconds."""
    try:
        start = _busy_seconds()
    except (OSError, ValueError, IndexError):
        return _load_average()[0]  # not Linux
    time.sleep(seconds)
    return max(0.0, (_busy_seconds() - start) / seconds)


def _busy_seconds() -> float:
    """Processor time that was spent since the machine started, all processors together."""
    fields = Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = map(int, fields)
    return (user + nice + system + interrupts + soft_interrupts + stolen) / os.sysconf("SC_CLK_TCK")


def _load_average() -> list[float]:
    return [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else [0.0, 0.0, 0.0]


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("give at least 1")
    return number


def _time(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
