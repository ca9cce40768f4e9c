from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HARNESS = Path(__file__).parents[1] / "benchmarks" / "_harness.py"


def load_harness() -> ModuleType:
    spec = importlib.util.spec_from_file_location("_harness", HARNESS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load_harness()
    monkeypatch.setattr(module, "tasks_of_others", lambda: 0.1)
    return module


@pytest.fixture
def start(harness: ModuleType, tmp_path: Path) -> Callable[..., Any]:
    def make(*arguments: str) -> Any:
        return harness.Harness("toy", "Toys.", arguments=["--results", str(tmp_path), *arguments])

    return make


def recorder(order: list[str], names: str) -> dict[str, Callable[[], str]]:
    def contestant(name: str) -> Callable[[], str]:
        def work() -> str:
            order.append(name)
            return f"result of {name}"

        return work

    return {name: contestant(name) for name in names}


def test_contestants_alternate_and_take_turns_in_going_first(start: Callable[..., Any]) -> None:
    order: list[str] = []
    timings = start("--repetitions", "4").alternate(recorder(order, "abc"), warm_up=1)
    assert "".join(order) == "abc" + "abc" + "bca" + "cab" + "abc"
    assert {name: len(seconds) for name, seconds in timings.seconds.items()} == {"a": 4, "b": 4, "c": 4}


def test_equal_work_is_checked_before_a_time_is_taken(start: Callable[..., Any]) -> None:
    order: list[str] = []

    def refuse(returned: Mapping[str, str]) -> None:
        assert returned == {"a": "result of a", "b": "result of b"}
        raise AssertionError("objectives differ")

    with pytest.raises(AssertionError, match="objectives differ"):
        start().alternate(recorder(order, "ab"), check=refuse)
    assert order == ["a", "b"]
    with pytest.raises(ValueError, match="needs a warm-up"):
        start().alternate(recorder(order, "ab"), check=refuse, warm_up=0)


def test_a_ratio_is_taken_within_each_round(harness: ModuleType) -> None:
    # The machine was ten times slower in the second round: the ratio of the medians would be 0.31, or 3.1.
    timings = harness.Timings({"ours": [1.0, 10.0, 1.0], "theirs": [3.0, 30.0, 3.2]})
    ratio = timings.ratio("ours", "theirs")
    assert ratio["median"] == pytest.approx(3.0)
    assert ratio["lower_quartile"] == pytest.approx(3.0)
    assert ratio["upper_quartile"] == pytest.approx(3.1)
    assert harness.Timings({"a": [2.0], "b": [1.0]}).ratio("a", "b")["median"] == 0.5


def test_the_results_file_has_every_repetition_and_its_origin(
    harness: ModuleType, start: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = start()
    timings = harness.Timings({"ours": [1.0, 2.0, 3.0], "theirs": [4.0, 8.0, 12.0]})
    measured.report("a workload", timings, reference="theirs", goals={"ours": 1.5}, gap=1e-6)
    assert measured.finish() == tmp_path / "toy.json"
    document = json.loads((tmp_path / "toy.json").read_text())
    (row,) = document["workloads"]
    assert row["gap"] == 1e-6
    assert row["contestants"]["ours"]["seconds"] == [1.0, 2.0, 3.0]
    assert row["contestants"]["ours"]["times_faster"]["median"] == 4.0
    assert row["contestants"]["ours"]["verdict"] == "short"
    assert document["load"]["busy"] is False
    assert document["provenance"]["machine"]["cpu_count"] >= 1
    assert "4.00 x theirs" in capsys.readouterr().out


def test_a_busy_machine_is_refused_unless_asked_for(
    harness: ModuleType, start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness, "tasks_of_others", lambda: 1.7)
    monkeypatch.setattr(harness.time, "sleep", lambda seconds: None)
    with pytest.raises(SystemExit, match=r"the machine is busy: 1\.7 other tasks"):
        harness.wait_for_quiet(allow_busy=False, patience=0.0)
    busy = start("--busy")
    path = busy.finish()
    assert json.loads(path.read_text())["load"]["busy"] is True


def test_it_waits_for_the_work_of_an_earlier_benchmark_to_end(
    harness: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = iter([1.7, 0.9, 0.05])
    monkeypatch.setattr(harness, "tasks_of_others", lambda: next(busy))
    monkeypatch.setattr(harness.time, "sleep", lambda seconds: None)
    assert harness.wait_for_quiet(allow_busy=False) == 0.05


def test_the_work_of_others_is_a_number_of_tasks() -> None:
    assert load_harness().tasks_of_others(seconds=0.1) >= 0.0
