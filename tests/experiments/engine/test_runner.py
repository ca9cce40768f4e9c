from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from striate.errors import StriateError, UsageError
from striate.experiments import Experiment, cells_of, read_record, run_experiment, summary
from striate.experiments.engine import runner
from striate.progress import Progress

Make = Callable[..., Experiment]
Diary = Callable[[], list[str]]

ALL = ["10/0", "10/1", "100/0", "100/1"]


class Listener(Progress):
    """Remembers what was said."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def test_a_complete_run_writes_figures_units_and_a_image(make_experiment: Make, diary: Diary, results: Path) -> None:
    run = run_experiment(make_experiment(), results=results, seed=3)
    assert run.complete
    assert diary() == ALL
    assert run.path == results / "toy.json"
    record = read_record(results / "toy.json")
    assert record == run.record
    accuracy, rise = record["figures"]
    assert (accuracy["measured"], accuracy["uncertainty"], accuracy["n"]) == (90.5, 0.5, 2)
    assert accuracy["verdict"] == "met"
    assert (rise["verdict"], rise["held"]) == ("shape", True)
    assert [unit["result"]["accuracy"] for unit in record["units"]] == [81.0, 82.0, 90.0, 91.0]
    assert record["seed"] == 3
    assert (results / "toy.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in results.iterdir()) == ["toy.json", "toy.png"]


def test_finished_units_come_from_the_cache(make_experiment: Make, diary: Diary, results: Path) -> None:
    first = run_experiment(make_experiment(), results=results)
    second = run_experiment(make_experiment(), results=results)
    assert diary() == ALL
    assert len(second.reused) == 4
    assert second.record["figures"] == first.record["figures"]
    assert second.record["units"] == first.record["units"]


@pytest.mark.parametrize(
    "change",
    [
        {'"""One cell."""': '"""One cell, described better."""'},
        {'"accuracy": 80.0': '"accuracy":   80.0  # a comment\n    '},
        {"def measure(settings, context):": "def measure(settings: dict, context: Context) -> dict:"},
    ],
)
def test_words_about_the_code_cost_nothing(
    make_experiment: Make, diary: Diary, results: Path, change: dict[str, str]
) -> None:
    run_experiment(make_experiment(), results=results)
    run_experiment(make_experiment(change), results=results)
    assert diary() == ALL


def test_other_code_is_run_again(make_experiment: Make, diary: Diary, results: Path) -> None:
    run_experiment(make_experiment(), results=results)
    run = run_experiment(make_experiment({'"accuracy": 80.0': '"accuracy": 81.0'}), results=results)
    assert len(diary()) == 8
    assert run.record["figures"][0]["measured"] == 91.5


def test_another_seed_is_run_again(make_experiment: Make, diary: Diary, results: Path) -> None:
    run_experiment(make_experiment(), results=results, seed=0)
    run_experiment(make_experiment(), results=results, seed=1)
    assert len(diary()) == 8


def test_a_damaged_entry_is_run_again(make_experiment: Make, diary: Diary, results: Path, cache: Path) -> None:
    run_experiment(make_experiment(), results=results)
    entries = sorted((cache / "experiments" / "toy").glob("*.json"))
    assert len(entries) == 4
    half = entries[0].read_bytes()
    entries[0].write_bytes(half[: len(half) // 2])
    entries[1].write_text(entries[1].read_text().replace('"accuracy": ', '"accuracy": 1'))
    entries[2].write_text("[]")
    assert run_experiment(make_experiment(), results=results).complete
    assert len(diary()) == 4 + 3


def test_only_runs_the_named_units_and_counts_the_others(make_experiment: Make, diary: Diary, results: Path) -> None:
    experiment = make_experiment()
    first = run_experiment(experiment, results=results, only=["100 labels, split 1"])
    assert diary() == ["100/1"]
    assert not first.complete
    # A mean over one of two splits must not pass for the mean over both.
    assert [figure["verdict"] for figure in first.record["figures"]] == ["not run", "not run"]
    second = run_experiment(experiment, results=results, only=["100 *"])
    assert diary() == ["100/1", "100/0"]
    assert [figure["verdict"] for figure in second.record["figures"]] == ["met", "not run"]
    assert second.remaining == ("10 labels, split 0", "10 labels, split 1")
    with pytest.raises(UsageError, match=r"no such unit.*10 labels, split 0"):
        run_experiment(experiment, results=results, only=["1000 labels"])


def test_an_incomplete_run_never_replaces_a_complete_result(make_experiment: Make, results: Path) -> None:
    run_experiment(make_experiment(), results=results, only=["10 *"])
    assert read_record(results / "toy.json")["complete"] is False
    assert not (results / "toy.png").exists()
    run_experiment(make_experiment(), results=results)
    before = (results / "toy.json").read_bytes()
    run = run_experiment(make_experiment({"80.0": "70.0"}), results=results, only=["10 *"])
    assert not run.complete
    assert run.path is None
    assert (results / "toy.json").read_bytes() == before


def test_units_of_a_results_file_count_where_they_are_the_same(
    make_experiment: Make, diary: Diary, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_experiment(make_experiment(), results=results, seed=3, only=["10 labels*", "100 labels, split 0"])
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "another machine"))
    file = results / "toy.json"
    record = json.loads(file.read_text())
    record["units"][1]["code"] = "of another time"
    file.write_text(json.dumps(record))
    assert diary() == ALL[:3]
    run = run_experiment(make_experiment(), results=tmp_path / "again", seed=3, reuse=file)
    assert run.complete
    assert run.reused == ("10 labels, split 0", "100 labels, split 0")
    assert diary() == [*ALL[:3], ALL[1], ALL[3]]
    assert run.record["units"][0] == first.record["units"][0]
    another = run_experiment(make_experiment(), results=tmp_path / "seed", seed=4, reuse=file)
    assert another.reused == ()
    with pytest.raises(StriateError, match="not a readable result"):
        run_experiment(make_experiment(), results=results, reuse=tmp_path / "none.json")


def test_quick_stays_away_from_full_results(make_experiment: Make, results: Path, cache: Path) -> None:
    experiment = make_experiment()
    run_experiment(experiment, results=results)
    with pytest.raises(UsageError, match="holds full results"):
        run_experiment(experiment, scale="quick", results=results)
    quick = run_experiment(experiment, scale="quick")
    assert quick.path is not None
    assert quick.path.is_relative_to(cache)
    assert len(quick.record["units"]) == 2
    assert quick.record["scale"] == "quick"


def test_a_budget_starts_no_unit_that_would_not_finish(make_experiment: Make, diary: Diary, results: Path) -> None:
    guess = "expected_seconds=1000 * split"
    experiment = make_experiment({"measure)\n": f"measure, {guess})\n"})
    listener = Listener()
    run = run_experiment(experiment, results=results, budget=100, progress=listener)
    assert diary() == ["10/0", "100/0"]
    assert run.remaining == ("10 labels, split 1", "100 labels, split 1")
    assert any("not started" in said for said in listener.said)
    run_experiment(experiment, results=results)
    assert sorted(diary()) == sorted(ALL)


def test_a_budget_believes_earlier_durations_more_than_guesses(
    make_experiment: Make, diary: Diary, results: Path
) -> None:
    run_experiment(make_experiment({"measure)\n": "measure, 1000.0)\n"}), results=results)
    # Other code, so all is run again; but the units are known to take next to no time.
    changed = make_experiment({"measure)\n": "measure, 1000.0)\n", "80.0": "70.0"})
    assert run_experiment(changed, results=results, budget=100).complete
    assert len(diary()) == 8


def test_a_guess_is_corrected_by_how_far_others_were_off(make_experiment: Make, diary: Diary, results: Path) -> None:
    experiment = make_experiment({"measure)\n": "measure, 1000.0)\n"})
    run_experiment(experiment, results=results, only=["10 labels, split 0"])
    assert run_experiment(experiment, results=results, budget=100).complete
    assert len(diary()) == 4


LONG_UNIT = {
    "measure)\n": "measure, 1000.0, checkpoints=True)\n",
    '    return {"accuracy"': """
    folder = context.checkpoint_folder
    folder.mkdir(parents=True, exist_ok=True)
    if settings["labels"] == 10 and not (folder / "half").exists():
        (folder / "half").touch()
        import time
        for _ in range(6000):
            time.sleep(0.01)
    return {"accuracy\"""",
}


def test_a_unit_with_checkpoints_is_interrupted_and_goes_on(
    make_experiment: Make, results: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_SHORTEST_SLICE", 0.1)
    experiment = make_experiment(LONG_UNIT)
    listener = Listener()
    # What a first run loads and fingerprints may take longer than the budget.
    run_experiment(experiment, scale="quick", results=results, only=["100 labels, split 0"])
    for budget in (3, 12, 48):  # on a busy machine, the unit may not even have begun in the first
        run = run_experiment(experiment, scale="quick", results=results, budget=budget, progress=listener)
        assert not run.complete
        if any("goes on from its checkpoint" in said for said in listener.said):
            break
    else:
        pytest.fail("the unit was never interrupted")
    assert run_experiment(experiment, scale="quick", results=results).complete
    assert not list((cache / "experiments" / "toy").glob("*.checkpoint"))


def test_ctrl_c_ends_the_run_and_keeps_finished_units(make_experiment: Make, diary: Diary, results: Path) -> None:
    interrupt = "    if len(DIARY.read_text().split()) == 2: raise KeyboardInterrupt"
    stop = {'    return {"accuracy"': f'{interrupt}\n    return {{"accuracy"'}
    with pytest.raises(KeyboardInterrupt):
        run_experiment(make_experiment(stop), results=results, budget=1e6)
    assert run_experiment(make_experiment(stop), results=results).complete
    assert diary() == ["10/0", "10/1", "10/1", "100/0", "100/1"]


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        ("1 / 0", StriateError, "toy, unit '10 labels, split 0': ZeroDivisionError: division by zero"),
        ('context.data("mnist")', UsageError, "does not declare at scale full; add it to the module's DATA"),
        ('return {"accuracy": float("nan")}', StriateError, "the number nan"),
        ('return {"accuracy": {1, 2}}', StriateError, "has a set"),
    ],
)
def test_a_unit_that_fails_is_named(
    make_experiment: Make, results: Path, line: str, kind: type[StriateError], message: str
) -> None:
    with pytest.raises(StriateError, match="unit '10 labels, split 0'") as raised:
        run_experiment(make_experiment({'    return {"acc': f'    {line}\n    return {{"acc'}), results=results)
    assert type(raised.value) is kind
    assert message in str(raised.value)
    assert not results.exists()


def test_a_complete_full_run_owes_every_figure(make_experiment: Make, results: Path) -> None:
    experiment = make_experiment({"labels=100).column": "labels=1000).column"})
    with pytest.raises(StriateError, match="'accuracy' was not measured"):
        run_experiment(experiment, results=results)


def test_a_complete_full_run_owes_no_figure_that_nothing_measures(make_experiment: Make, results: Path) -> None:
    cell = 'Figure(what="PA", better="higher", published=50.0, source="a paper", measure=None),'
    experiment = make_experiment({"FIGURES = (": f"FIGURES = (\n    {cell}"})
    run = run_experiment(experiment, results=results)
    assert [figure["verdict"] for figure in run.record["figures"]] == ["not run", "met", "shape"]
    listed = summary(experiment, results)
    assert listed["current"] is True
    assert cells_of(listed["figures"][0]) == ("50", "", "", "not run")


def test_a_unit_sees_the_phases_of_its_own_work_alone(make_experiment: Make, results: Path) -> None:
    phases = """
    with context.progress.phase(f"split {settings['split']}"):
        pass
    return {"phases": [record.name for record in context.progress.records],"""
    record = run_experiment(make_experiment({"    return {": phases.strip("\n")}), results=results).record
    assert [unit["result"]["phases"] for unit in record["units"]] == [["split 0"], ["split 1"]] * 2


def test_numpy_values_are_kept_as_numbers(make_experiment: Make, results: Path) -> None:
    array = {
        '    return {"accuracy"': '    import numpy as np\n    return {"curve": np.eye(2, dtype=np.float32), "accuracy"'
    }
    record = run_experiment(make_experiment(array), results=results).record
    assert record["units"][0]["result"]["curve"] == [[1.0, 0.0], [0.0, 1.0]]


def test_missing_data_is_named_before_anything_runs(
    make_experiment: Make, diary: Diary, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets: Any = ModuleType("striate.images.datasets")
    monkeypatch.setitem(sys.modules, "striate.images.datasets", datasets)

    def absent(name: str) -> Path:
        raise UsageError(f"the data set {name} is not here; get it with `striate data get {name}`")

    datasets.data_folder = absent
    experiment = make_experiment({'"full": ()': '"full": ("mnist",)'})
    with pytest.raises(UsageError, match="toy at scale full: the data set mnist is not here; get it with"):
        run_experiment(experiment, results=results)
    assert run_experiment(experiment, scale="quick", results=results).complete

    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "a.gz").write_bytes(b"1")
    datasets.data_folder = lambda name: tmp_path / name
    run = run_experiment(experiment, results=tmp_path / "full")
    assert set(run.record["data"]) == {"mnist"}
    n_runs = len(diary())
    (tmp_path / "mnist" / "a.gz").write_bytes(b"2")
    run_experiment(experiment, results=tmp_path / "full")
    assert len(diary()) == n_runs + 4, "other data, other results"


KILLED = """
import importlib.util, sys
from pathlib import Path
from striate.experiments import run_experiment
from striate.experiments.engine.experiment import from_module

spec = importlib.util.spec_from_file_location("toy", sys.argv[1])
toy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(toy)
run_experiment(from_module(toy), results=Path(sys.argv[2]))
"""


def test_a_killed_run_repeats_at_most_one_unit(
    make_experiment: Make, diary: Diary, results: Path, tmp_path: Path
) -> None:
    experiment = make_experiment({'    return {"accuracy"': '    import time; time.sleep(0.1)\n    return {"accuracy"'})
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path / "toy.py"), str(results)]
    for n_started in (1, 3):
        process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
        try:
            while len(diary()) < n_started and process.poll() is None:
                time.sleep(0.01)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert run_experiment(experiment, results=results).complete
    seen = diary()
    assert set(seen) == set(ALL)
    assert len(seen) <= len(ALL) + 2, "each kill may cost the unit that was running, and no other"
