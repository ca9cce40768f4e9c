"""Progress of long work: phases with counts, rates and remaining times, shown only on request."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TextIO

from striate.errors import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars

__all__ = ["JsonProgress", "Phase", "PhaseRecord", "Progress", "RichProgress", "peak_memory_bytes"]


class PhaseRecord(NamedTuple):
    """A phase that has ended."""

    name: str
    seconds: float
    items: int
    unit: str
    peak_memory_bytes: int  # of the process, since its start


class Phase:
    """A part of the work that is running; `Progress.phase` creates it.

    Attributes
    ----------
    name, unit : str
    total : int or None
        The expected number of items; it may be set later, when it is known.
    done : int
        The number of items that are finished.
    """

    def __init__(self, name: str, total: int | None, unit: str) -> None:
        self.name = name
        self.total = total
        self.unit = unit
        self.done = 0
        self.remark = ""

    def advance(self, n: int = 1) -> None:
        """Count `n` more items."""
        self.done += n

    def note(self, text: str) -> None:
        """Show a short remark beside the count, such as the current energy; it replaces the previous one."""
        self.remark = text


class Progress:
    """Records phases and shows nothing; the default of library functions.

    Attributes
    ----------
    records : list of PhaseRecord
        The phases that have ended, in the order of their ends.
    """

    def __init__(self) -> None:
        self.records: list[PhaseRecord] = []

    @contextmanager
    def phase(self, name: str, total: int | None = None, unit: str = "items") -> Iterator[Phase]:
        """Enter a phase; phases may be nested.

        Parameters
        ----------
        name : str
            What is done, for example "filters of stage 1".
        total : int, optional
            The expected number of items, if it is known.
        unit : str, default="items"
            Name of the items, in the plural.

        Yields
        ------
        phase : Phase
            Its `advance` is to be called for every finished item.
        """
        started = time.perf_counter()
        phase = self._begin(name, total, unit)
        try:
            yield phase
        except BaseException:
            self._end(phase, None)
            raise
        seconds = time.perf_counter() - started
        record = PhaseRecord(name, seconds, phase.done, unit, peak_memory_bytes())
        self.records.append(record)
        self._end(phase, record)

    def message(self, text: str) -> None:
        """Show one line of text to the user."""

    def _begin(self, name: str, total: int | None, unit: str) -> Phase:
        return Phase(name, total, unit)

    def _end(self, phase: Phase, record: PhaseRecord | None) -> None:
        """Show that a phase has ended; there is no record of one that failed."""


class RichProgress(Progress):
    """Draws one bar per phase on standard error, with count, rate and time left; without a terminal, one line each.

    Parameters
    ----------
    quiet : bool, default=False
        Whether to show nothing at all.
    console : rich.console.Console, optional
        Where to draw; by default, standard error.
    """

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        super().__init__()
        self.quiet = quiet
        self._console = console
        self._bars: Bars | None = None
        self._open_phases = 0

    def message(self, text: str) -> None:
        """Print one line on standard error, above the bars."""
        if not self.quiet:
            self._screen().print(one_line(text), markup=False, highlight=False, soft_wrap=True)

    def _screen(self) -> Console:
        if self._console is None:
            from rich.console import Console

            self._console = Console(file=sys.stderr)
        return self._console

    def _begin(self, name: str, total: int | None, unit: str) -> Phase:
        if self.quiet or not self._screen().is_terminal:
            return Phase(name, total, unit)
        if self._bars is None:
            self._bars = _bars(self._screen())
        if self._open_phases == 0:
            self._bars.start()
        self._open_phases += 1
        return _DrawnPhase(name, total, unit, self._bars)

    def _end(self, phase: Phase, record: PhaseRecord | None) -> None:
        if self._bars is not None and isinstance(phase, _DrawnPhase):
            self._bars.remove_task(phase.task)
            self._open_phases -= 1
            if self._open_phases == 0:
                self._bars.stop()
        if record is not None:
            self.message(_summary(record, phase.remark))


class _DrawnPhase(Phase):
    """A phase with a bar on a terminal."""

    def __init__(self, name: str, total: int | None, unit: str, bars: Bars) -> None:
        super().__init__(name, total, unit)
        self._bars = bars
        self.task = bars.add_task(name, total=total, unit=unit, remark="")

    def advance(self, n: int = 1) -> None:
        super().advance(n)
        self._bars.update(self.task, completed=self.done, total=self.total)

    def note(self, text: str) -> None:
        super().note(text)
        self._bars.update(self.task, remark=text)


class JsonProgress(Progress):
    """Writes progress for another program: one JSON object a line.

    A phase writes its `phase`, `done`, `total` (null if it is not known) and `unit` when it begins, at most four times
    a second while it goes on, and, with `seconds`, when it has ended. A line of text for the user is a `message`.

    Parameters
    ----------
    file : text file
        Where to write. If its reader is gone, the next line raises BrokenPipeError, which ends the work.
    """

    _APART = 0.25  # seconds

    def __init__(self, file: TextIO) -> None:
        super().__init__()
        self._file = file

    def message(self, text: str) -> None:
        """Write a line of text."""
        self._write(message=text)

    def _begin(self, name: str, total: int | None, unit: str) -> Phase:
        return _WrittenPhase(name, total, unit, self)

    def _end(self, phase: Phase, record: PhaseRecord | None) -> None:
        if record is not None:
            self._write_phase(phase, seconds=round(record.seconds, 3))

    def _write_phase(self, phase: Phase, **more: object) -> None:
        self._write(phase=phase.name, done=phase.done, total=phase.total, unit=phase.unit, **more)

    def _write(self, **values: object) -> None:
        self._file.write(json.dumps(values) + "\n")
        self._file.flush()


class _WrittenPhase(Phase):
    """A phase that is written from time to time."""

    def __init__(self, name: str, total: int | None, unit: str, progress: JsonProgress) -> None:
        super().__init__(name, total, unit)
        self._progress = progress
        self._written = time.monotonic()
        progress._write_phase(self)

    def advance(self, n: int = 1) -> None:
        super().advance(n)
        now = time.monotonic()
        if now - self._written >= JsonProgress._APART:
            self._written = now
            self._progress._write_phase(self)


def peak_memory_bytes() -> int:
    """Return the most memory that this process has held so far (resident set), in bytes; 0 if unknown."""
    try:
        # ru_maxrss would include the process that started this one, until the exec.
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):  # not Linux
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _bars(console: Console) -> Bars:
    from rich import progress
    from rich.text import Text

    class CountAndRate(progress.ProgressColumn):
        def render(self, task: progress.Task) -> Text:
            of = f"/{task.total:,.0f}" if task.total is not None else ""
            rate = f"  {_rate(task.speed)}/s" if task.speed else ""
            return Text(f"{task.completed:,.0f}{of} {task.fields['unit']}{rate}")

    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(bar_width=24),
        CountAndRate(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left", style="dim"),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[remark]}", style="dim", markup=False),
        console=console,
        transient=True,  # a finished phase is shown as one line, its summary
        refresh_per_second=4,
    )


def _summary(record: PhaseRecord, remark: str) -> str:
    parts = [f"{record.name}: {_duration(record.seconds)}"]
    if record.items:
        rate = f" ({_rate(record.items / record.seconds)}/s)" if record.seconds > 0 else ""
        parts.append(f"{record.items:,} {record.unit}{rate}")
    if remark:
        parts.append(remark)
    return ", ".join(parts)


def _rate(per_second: float) -> str:
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.2g}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
