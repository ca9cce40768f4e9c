from __future__ import annotations

import io
import json
import subprocess
import sys
import time

import numpy as np
import pytest
from rich.console import Console

from striate.progress import JsonProgress, Progress, RichProgress, peak_memory_bytes


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120, color_system=None)


def shown(on: Console) -> str:
    assert isinstance(on.file, io.StringIO)
    return on.file.getvalue()


@pytest.mark.parametrize("progress", [Progress(), RichProgress(quiet=True)], ids=["default", "quiet"])
def test_nothing_is_shown_but_everything_is_recorded(progress: Progress, capfd: pytest.CaptureFixture[str]) -> None:
    with progress.phase("outer") as outer:
        with progress.phase("inner", total=3, unit="batches") as inner:
            inner.advance()
            inner.advance(2)
            inner.note("energy 3")
        outer.advance()
    progress.message("hello")
    assert [(record.name, record.items, record.unit) for record in progress.records] == [
        ("inner", 3, "batches"),
        ("outer", 1, "items"),
    ]
    assert progress.records[0].seconds <= progress.records[1].seconds
    assert all(record.peak_memory_bytes > 1e6 for record in progress.records)
    assert capfd.readouterr() == ("", "")


def test_one_line_a_phase_where_there_is_no_terminal() -> None:
    screen = console(terminal=False)
    progress = RichProgress(console=screen)
    with progress.phase("filters [of stage] 1", total=2, unit="batches") as phase:
        phase.advance(2)
        phase.note("energy 31.2")
        assert shown(screen) == ""
    progress.message("[bold] is no markup")
    lines = shown(screen).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("filters [of stage] 1: 0.0 s, 2 batches (")
    assert lines[0].endswith("energy 31.2")
    assert lines[1] == "[bold] is no markup"


def test_bars_on_a_terminal() -> None:
    screen = console(terminal=True)
    progress = RichProgress(console=screen)
    with progress.phase("outer [x]", total=1):
        for total in (2, None):
            with progress.phase("inner", total=total, unit="batches") as phase:
                phase.advance(1)
                phase.note("energy [5]")
                time.sleep(0.4)  # the bars are drawn four times a second
        progress.message("between")
    text = shown(screen)
    for part in ("outer [x]", "1/2 batches", "energy [5]", "between", "inner: 0."):
        assert part in text


@pytest.mark.parametrize("terminal", [True, False])
def test_a_failed_phase_leaves_no_record_and_no_bar(terminal: bool) -> None:
    progress = RichProgress(console=console(terminal=terminal))
    with pytest.raises(KeyboardInterrupt), progress.phase("outer"), progress.phase("inner"):
        raise KeyboardInterrupt
    assert progress.records == []
    with progress.phase("next"):
        pass
    assert [record.name for record in progress.records] == ["next"]


def test_peak_memory_is_that_of_this_process() -> None:
    before = peak_memory_bytes()
    size = before + 50_000_000
    np.ones(size, np.uint8)
    assert peak_memory_bytes() >= size
    # A small process that a large one starts must not report the large one's peak.
    script = "from striate.progress import peak_memory_bytes; print(peak_memory_bytes())"
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert 1_000_000 < int(child.stdout) < before


def test_progress_for_other_programs_is_one_object_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("striate.progress.time.monotonic", lambda: now)
    file = io.StringIO()
    progress = JsonProgress(file)
    with progress.phase("filters", unit="batches") as phase:
        phase.total = 100
        for _ in range(100):
            now += 0.01
            phase.advance()
        progress.message("two\nlines")
    with pytest.raises(ZeroDivisionError), progress.phase("failing"):
        raise ZeroDivisionError
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert lines[0] == {"phase": "filters", "done": 0, "total": None, "unit": "batches"}
    counts = [line["done"] for line in lines[1:-3]]
    assert counts == sorted(counts)
    assert 3 <= len(counts) <= 4
    assert lines[-3] == {"message": "two\nlines"}
    assert lines[-2].pop("seconds") >= 0
    assert lines[-2] == {"phase": "filters", "done": 100, "total": 100, "unit": "batches"}
    assert lines[-1]["phase"] == "failing"
    assert [record.name for record in progress.records] == ["filters"]


def test_progress_that_nobody_reads_ends_the_work() -> None:
    class Broken(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError), JsonProgress(Broken()).phase("filters"):
        pytest.fail("the phase has begun")
