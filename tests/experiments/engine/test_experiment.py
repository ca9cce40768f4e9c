from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from striate import experiments
from striate.errors import StriateError, UsageError
from striate.experiments import EXPERIMENTS, Experiment, load_experiment, run_experiment

Make = Callable[..., Experiment]


@pytest.mark.parametrize(
    ("replace", "message"),
    [
        ({'NAME = "toy"': ""}, "has no NAME"),
        ({'"toy"': '"Toy Experiment"'}, "small letters, digits and single hyphens"),
        ({'"Accuracy rises with the number of labels."': '" "'}, "empty CLAIM"),
        ({'"quick": (), ': ""}, "give both scales"),
        ({'"full": ()': '"full": "mnist"'}, "give both scales"),
        ({"FIGURES = (": "FIGURES = ()\n_ = ("}, "at least one Figure"),
        ({'what="rise"': 'what="accuracy"'}, "two figures named 'accuracy'"),
    ],
)
def test_an_incomplete_declaration_is_refused(make_experiment: Make, replace: dict[str, str], message: str) -> None:
    with pytest.raises(StriateError, match=message):
        make_experiment(replace)


@pytest.mark.parametrize(
    ("replace", "message"),
    [
        ({"for labels in (10, 100)": "for labels in ()"}, "no units at scale full"),
        ({', split {split}"': '"'}, "two units named '10 labels'"),
        ({'{"labels": labels,': '{"labels": {labels},'}, "settings of the unit '10 labels, split 0', at 'labels'"),
    ],
)
def test_units_that_cannot_be_told_apart_or_kept_are_refused(
    make_experiment: Make, replace: dict[str, str], message: str
) -> None:
    experiment = make_experiment(replace)
    with pytest.raises(StriateError, match=message):
        experiment.units("full")


def test_there_are_two_scales(make_experiment: Make) -> None:
    with pytest.raises(UsageError, match="no scale 'medium'; use quick or full"):
        make_experiment().units("medium")  # type: ignore[arg-type]


def test_the_example_in_the_folder_s_readme_runs(make_experiment: Make, tmp_path: Path) -> None:
    readme = Path(experiments.__path__[0], "README.md").read_text("utf-8")
    example = readme.split("```python\n")[1].split("```")[0]
    record = run_experiment(make_experiment(text=example), results=tmp_path / "results").record
    assert [figure["verdict"] for figure in record["figures"]] == ["met", "met", "shape"]
    assert [figure["n"] for figure in record["figures"]] == [3, 3, 1]


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no experiment 'alchemy'"):
        load_experiment("alchemy")


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_every_registered_experiment_declares_itself_well(name: str) -> None:
    experiment = load_experiment(name)
    assert experiment.name == name
    assert EXPERIMENTS[name].rpartition(".")[2] == name.replace("-", "_")
    assert not experiment.data["quick"], "the quick scale runs on what ships"
    for scale in ("quick", "full"):
        assert experiment.units(scale)
