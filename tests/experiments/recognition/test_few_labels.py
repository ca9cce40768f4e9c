"""What counts as a lead with few labels, which labels are drawn, and what each unit measures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate.experiments import Context, Measurement, Results
from striate.experiments.recognition import few_label_methods as methods
from striate.experiments.recognition.few_label_sets import SETS, LabeledSet, load_set
from striate.experiments.recognition.few_labels import BEFORE, DRAWS, FIGURES, METHODS, draw, units
from striate.hierarchy import Hierarchy
from striate.images import Preprocessing, as_images
from striate.learning import PSD
from striate.progress import Progress
from striate.recognition import SoftmaxClassifier
from tests.conftest import DataFolder

OFFSETS = np.array([-1.0, 0.0, 2.0, 0.0, -1.0])  # of the draws, with a mean of 0


def context(tmp_path: Path, scale: str = "quick", folders: Mapping[str, Path] | None = None) -> Context:
    return Context(scale, 0, folders or {}, tmp_path, Progress(), 1)


def measured(accuracy: Mapping[str, float], **further: np.ndarray) -> Results:
    """Each method with this accuracy on all sets, in per cent; by name (spaces as _), what is added to its draws."""
    finished = {}
    for unit in units("full"):
        method = unit.settings["method"]
        row = (accuracy.get(method, 50.0) + OFFSETS + further.get(method.replace(" ", "_"), 0)) / 100
        n = len(unit.settings["counts"])
        seconds = 30.0 if method == "auto" else 60.0
        finished[unit.name] = {"accuracy": [row.tolist()] * n, "seconds": [[seconds] * len(DRAWS)] * n}
    return Results("full", units("full"), finished)


def figure(results: Results, what: str) -> Measurement:
    (found,) = (each for each in FIGURES if each.what == what)
    measurement = found.read(results)
    assert measurement is not None
    return measurement


def test_every_set_count_and_method_is_measured_once() -> None:
    found = Counter(
        (unit.settings["set"], unit.settings["method"], count)
        for unit in units("full")
        if not unit.settings["timed"]
        for count in unit.settings["counts"]
    )
    wanted = {(name, method, count) for name, known in SETS.items() for method in METHODS for count in known.counts}
    assert found == Counter(wanted)
    timed = [unit for unit in units("full") if unit.settings["timed"]]
    assert {(unit.settings["set"], unit.settings["method"]) for unit in timed} == set(
        product(SETS, ("auto", "small CNN"))
    )
    assert all(unit.settings["draws"] == (DRAWS[:1] if unit.settings["timed"] else DRAWS) for unit in units("full"))


def test_units_of_different_methods_run_functions_of_their_own() -> None:
    functions = {unit.settings["method"]: unit.run for unit in units("full")}
    assert len(set(functions.values())) == len(METHODS)


def test_a_lead_is_over_the_best_other_method_and_paired_by_draw() -> None:
    # The best is 1 point behind on average; its offsets are those of auto, so that pairing leaves no scatter.
    found = figure(
        measured({"auto": 61, "scattering": 60}), "tiles, 5 labels per class: auto minus the best other method"
    )
    assert found.value == pytest.approx(1)
    assert found.uncertainty == pytest.approx(0, abs=1e-9)
    assert found.n == len(DRAWS)
    assert found.held


@pytest.mark.parametrize(("behind", "held"), [(0.69, True), (0.73, False)])
def test_a_lead_may_be_one_standard_error_below_zero(behind: float, held: bool) -> None:
    scatter = np.array([-2.0, 1.0, 0.0, 1.0, 0.0])
    error = scatter.std(ddof=1) / np.sqrt(5)
    results = measured({"auto": 60, "small CNN": 60 + behind * error / 0.71}, small_CNN=scatter)
    found = figure(results, "digits, 100 labels per class: auto minus the best other method")
    assert found.value == pytest.approx(-behind * error / 0.71)
    assert found.uncertainty == pytest.approx(error)
    assert found.held is held


def test_gains_are_means_over_sets_for_each_draw() -> None:
    results = measured({"auto": 64, "small CNN": 60}, small_CNN=np.array([0.0, 1.0, 0.0, -1.0, 0.0]))
    few = figure(results, "auto minus a small CNN, mean over the sets, 5 labels per class")
    assert few.value == pytest.approx(4)
    assert few.uncertainty == pytest.approx(np.sqrt(0.5 / 5))
    whole = figure(results, "auto minus small CNN, mean over all sets and numbers of labels")
    assert whole.value == pytest.approx(4)
    assert whole.held
    assert not figure(measured({}), "auto minus pixels, mean over all sets and numbers of labels").held


def test_seconds_are_compared_on_each_set() -> None:
    assert figure(measured({}), "tiles: seconds of auto for one of a small CNN").value == 0.5


def test_an_unfinished_method_leaves_the_lead_open() -> None:
    whole = measured({})
    finished = {unit.name: whole[unit.name] for unit in whole if unit.name != "tiles, scattering"}
    results = Results("full", units("full"), finished)
    (lead,) = (each for each in FIGURES if each.what.startswith("tiles, 1 label "))
    assert lead.read(results) is None


def test_the_drawing_takes_what_there_is(tmp_path: Path) -> None:
    whole = measured({"auto": 70})
    finished = {unit.name: whole[unit.name] for unit in list(whole)[::2]}
    draw(Results("full", units("full"), finished), tmp_path / "drawn.png")
    assert (tmp_path / "drawn.png").stat().st_size > 0


def test_what_auto_chose_before_can_still_be_built() -> None:
    assert set(BEFORE) == set(SETS)
    for settings in BEFORE.values():
        prepare, hierarchy = Preprocessing(**settings["preprocessing"]), Hierarchy(settings["architecture"])
        assert hierarchy.output_shape(prepare.shape)
        assert len(hierarchy.filter_banks) == len([PSD(**options) for options in settings["learners"]])
        SoftmaxClassifier(**settings["classifier"])


def test_draws_are_nested_and_within_the_training_part(tmp_path: Path) -> None:
    given = load_set("digits", 0, context(tmp_path))
    assert not np.intersect1d(given.train, given.test).size
    assert len(given.train) + len(given.test) == len(given.labels) == 200
    few, more = given.draw(2, 7), given.draw(5, 7)
    assert set(few) < set(more)
    assert np.bincount(given.labels[given.train[more]]).tolist() == [5] * 10
    assert not np.array_equal(given.draw(5, 8), more)


def test_methods_get_no_labels_but_those_drawn(tmp_path: Path) -> None:
    assert load_set("digits", 0, context(tmp_path)).images.labels is None


def test_accuracy_is_the_mean_over_classes(tmp_path: Path) -> None:
    labels = np.array([0] * 12 + [1] * 4)
    given = LabeledSet(as_images(np.zeros((16, 8, 8), np.float32)), labels, np.arange(0, 16, 2), np.arange(1, 16, 2))
    seen: list[tuple[int, int]] = []

    def always_zero(places: np.ndarray, drawn: np.ndarray, seed: int) -> Any:
        np.testing.assert_array_equal(drawn, labels[given.train[places]])
        seen.append((len(places), seed))
        return lambda: np.zeros(8, np.int64)

    settings = {"counts": (1, 2), "draws": (3, 4)}
    found = methods._measure(given, settings, context(tmp_path), always_zero, feature_seconds=100.0)
    assert found["accuracy"] == [[0.5, 0.5], [0.5, 0.5]]  # not 3/4
    assert seen == [(2, 3), (2, 4), (4, 3), (4, 4)]
    assert np.min(found["seconds"]) >= 100


def test_each_quick_unit_is_better_than_chance_and_the_network_too(tmp_path: Path) -> None:
    settings = {"set": "digits", "split": 0, "draws": (0,), "counts": (5,)}
    pixels = methods.measure_pixels(settings, context(tmp_path))
    network = methods.measure_cnn(
        settings | {"side": 28, "n_steps": 60, "batch_size": 16, "changes": {"shift": 0.1}}, context(tmp_path)
    )
    before = methods.measure_before(
        settings
        | {
            "preprocessing": {"canvas": (28, 28), "contrast": "ground"},
            "architecture": "8F7x7 - Rabs - N7x7 - PA8x8/4",
            "learners": [{"max_batches": 30}],
            "classifier": {"split": True},
        },
        context(tmp_path),
    )
    for found in (pixels, network, before):
        assert found["accuracy"][0][0] > 0.5
        assert (found["n_train"], found["n_test"]) == (120, 80)


@pytest.mark.data
@pytest.mark.parametrize("name", [name for name in SETS if name != "thumbnails 64"])
def test_every_class_has_as_many_images_as_labels_are_drawn(name: str, tmp_path: Path, data_folder: DataFolder) -> None:
    known = SETS[name]
    folders = {known.data: data_folder(known.data)} if known.data else {}
    given = load_set(name, 0, context(tmp_path, "full", folders))
    assert np.bincount(given.labels[given.train]).min() >= max(known.counts)
    assert len(given.test) <= 2000
    (batch,) = given.squares(given.test[:2], 32, color=known.color)
    assert batch.shape == (2, 3 if known.color else 1, 32, 32)
    assert batch.min() >= 0
    assert batch.max() <= 1
