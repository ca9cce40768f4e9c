"""The report of a real, tiny run: it stands alone and shows what the run found."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from striate.images import ImageCollection, as_images
from striate.learning import PSD
from striate.progress import Progress
from striate.recognition import TrainingResult, split_images, train_and_evaluate
from striate.report import ReportData, training_report, write_training_report
from tests.recognition.digits import digits, quick, write_folder
from tests.report.page import Outline, assert_stands_alone

TWO_STAGES = "8F5x5 - Rabs - N5x5 - PA4x4/3 - 6F3x3 - Rabs - N5x5 - PA4x4/2"


class Run(NamedTuple):
    result: TrainingResult
    data: ReportData
    page: str
    outline: Outline

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.outline.texts).split()).replace("\N{NO-BREAK SPACE}", " ")

    @property
    def sections(self) -> set[str]:
        return {str(attributes["id"]) for attributes in self.outline.named("h2")}


def run(folder: Path, images: ImageCollection, **options: Any) -> Run:
    progress = Progress()
    split = split_images(images, random_state=0)
    result = train_and_evaluate(quick(**options), images, split, label_counts=[6], n_draws=2, progress=progress)
    model = folder / "model.safetensors"
    result.classifier.save(model)
    told: dict[str, Any] = {
        "title": "Three <digits>",
        "command": "striate train 'my digits' --seed 0",
        "model": model,
        "progress": progress,
        "seconds": 75.0,
    }
    write_training_report(folder / "report.html", result, **told)
    page = (folder / "report.html").read_text(encoding="utf-8")
    return Run(result, training_report(result, **told), page, Outline(page))


def in_colors(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Digits on grounds whose color tells the class, (n, 28, 28, 3)."""
    colors = np.array([[255, 60, 60], [60, 255, 60], [60, 60, 255]], np.uint8)[labels]
    return np.maximum(images[..., None], 255 - colors[:, None, None])


def gray_folder(folder: Path, **options: Any) -> Run:
    images, labels = digits([0, 1, 2], 20)
    names = labels.astype(str)
    names[3::10] = np.roll(names[3::10], 2)  # wrong labels: mistakes there will be
    write_folder(folder / "x", [*images], names)
    (folder / "x" / "0" / "broken.png").write_bytes(b"no image")
    return run(folder, as_images(folder / "x"), **options)


RUNS: dict[str, Callable[[Path], Run]] = {
    "learned": lambda folder: gray_folder(folder, architecture=TWO_STAGES, learner="psd", unknown=0.1),
    "random": lambda folder: gray_folder(folder, architecture=TWO_STAGES),
    "pixels": lambda folder: gray_folder(folder, architecture="PA4x4/4"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    made: dict[str, Run] = {}

    def get(name: str) -> Run:
        if name not in made:
            made[name] = RUNS[name](tmp_path_factory.mktemp(name))
        return made[name]

    return get


@pytest.mark.parametrize("name", RUNS)
def test_the_page_stands_alone_and_repeats_the_run(name: str, runs: Callable[[str], Run]) -> None:
    one = runs(name)
    assert_stands_alone(one.page, one.outline)
    assert len(one.page) < 1_000_000
    assert "Three <digits>" in one.text
    assert "striate train 'my digits' --seed 0" in one.text
    assert f"Trained with {one.result.n_train} labeled images" in one.text
    assert f"of {one.result.test.n_test} held-out images" in one.text
    assert {"labels", "hierarchy", "samples", "mistakes", "confusion", "classes", "time", "skipped"} <= one.sections
    assert "0/broken.png" in one.text
    for reason in one.result.classifier.record_.reasons:
        assert reason in one.text
    for record in one.data.phases:
        assert record.name in one.text


def test_learned_filters_their_codes_and_the_unknown(runs: Callable[[str], Run]) -> None:
    one = runs("learned")
    assert {"filters", "codes", "unknown"} <= one.sections
    assert "8 filters of 5 × 5, learned by PSD" in one.text
    assert "6 filters of 3 × 3, learned by PSD" in one.text
    assert "requested rate of false alarms 10.0 %" in one.text
    first, second = one.data.stages
    bank = one.result.classifier.hierarchy_.filter_banks[1]
    assert bank.filters is not None
    assert first.encoder.shape == (8, 1, 5, 5)
    assert second.encoder.shape == bank.filters.shape == (6, 8, 3, 3)
    # In pixels, neighbors of the second stage are 3 apart, and each filter of the first reaches 5.
    assert second.projected is not None
    assert second.projected.shape == (6, 1, 2 * 3 + 5, 2 * 3 + 5)


def test_a_dictionary_of_neighboring_descriptors_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.hierarchy.sparse_codes.DICTIONARY_BATCHES", 20)
    one = gray_folder(tmp_path, architecture="SIFT16x16/6 - MF2x2/1 - 12SC - PM1+2+4")
    assert one.data.stages[0].encoder.shape == (12, 1, 72, 72)
    assert {"macrofeatures of 2×2 neighbors"} <= {layer["label"] for layer in one.data.architecture}


def test_a_patch_dictionary_is_drawn_as_filters_and_as_patches(tmp_path: Path) -> None:
    one = gray_folder(tmp_path, architecture="12WP5x5 - GA2")
    (stage,) = one.data.stages
    assert stage.decoder is not None
    assert stage.encoder.shape == stage.decoder.shape == (12, 1, 5, 5)
    assert one.data.reconstructions is None
    assert "12 filters of 5 × 5, learned by K-means of whitened patches" in one.text


def test_reconstructions_are_those_of_the_first_stage(runs: Callable[[str], Run]) -> None:
    one = runs("learned")
    stage = one.result.classifier.record_.stages[0]
    found = one.data.reconstructions
    learner = stage.learners[0]
    assert not isinstance(found, tuple)
    assert found is not None
    assert isinstance(learner, PSD)
    assert found.patches.shape == found.reconstructions.shape == (6, 1, 5, 5)
    np.testing.assert_allclose(found.patches.mean(axis=(1, 2, 3)), 0, atol=1e-6)
    # Codes are of scaled patches.
    expected = found.codes @ learner.components_ * learner.scale_
    np.testing.assert_allclose(found.reconstructions.reshape(6, -1), expected, rtol=1e-4, atol=1e-5)
    error = np.square(found.patches - found.reconstructions).sum()
    assert error < 0.9 * np.square(found.patches).sum()


@pytest.mark.parametrize(("name", "has_filters"), [("random", True), ("pixels", False)])
def test_what_was_not_learned_is_not_shown(name: str, has_filters: bool, runs: Callable[[str], Run]) -> None:
    one = runs(name)
    assert not {"codes", "unknown"} & one.sections
    assert ("filters" in one.sections) == has_filters
    assert ("drawn at random, not learned" in one.text) == has_filters


def test_every_figure_is_the_one_that_was_measured(runs: Callable[[str], Run]) -> None:
    one = runs("learned")
    test = one.result.test
    assert one.data.confusion is not None
    np.testing.assert_array_equal(one.data.confusion[0], test.confusion)
    assert one.data.confusion[1] == ["0", "1", "2"]
    labels = test.images.labels or []
    assert [(s.name, s.true, s.predicted) for s in one.data.samples] == [
        (said.name, label, said.label) for said, label in zip(test.predictions, labels, strict=True)
    ]
    wrong = [said for said, label in zip(test.predictions, labels, strict=True) if said.label != label]
    assert wrong
    assert [s.name for s in one.data.mistakes] == [s.name for s in sorted(wrong, key=lambda s: -s.probability)]
    for sample in one.data.samples:
        index = int(re.sub(r"\D", "", sample.name.partition("/")[2]))
        np.testing.assert_array_equal(sample.image, digits([0, 1, 2], 20)[0][index])
    rows = re.findall(r'<th scope="row">(\d+)</th><td class="number">', one.page)
    assert rows[:2] == ["6", str(one.result.n_train)]
    assert one.data.accuracy == test.accuracy
    assert one.data.model_bytes == Path(str(one.data.model_path)).stat().st_size


def test_many_held_out_images_are_shown_in_part(tmp_path: Path) -> None:
    images, labels = digits([0, 1], 100)
    one = run(tmp_path, as_images(images, labels))
    assert one.result.test.n_test == 40
    assert len(one.data.samples) == 24
    assert {sample.true for sample in one.data.samples} == {"0", "1"}  # evenly over all


@pytest.mark.parametrize("architecture", ["8F5x5 - Rabs - N5x5 - PA4x4/3", "8F5x5:2 - Rabs - N5x5 - PA4x4/3"])
def test_in_color(architecture: str, tmp_path: Path) -> None:
    images, labels = digits([0, 1, 2], 12)
    one = run(tmp_path, as_images(in_colors(images, labels), labels), architecture=architecture, learner="psd")
    assert_stands_alone(one.page, one.outline)
    assert one.result.classifier.preprocessing_.color == one.data.color == "yuv"
    assert one.data.samples[0].image.shape == (28, 28, 3)
    assert {"filters", "codes"} <= one.sections
    fan_in = 2 if ":2" in architecture else 3
    assert one.data.stages[0].encoder.shape == (8, fan_in, 5, 5)
    assert one.data.reconstructions is not None
    assert not isinstance(one.data.reconstructions, tuple)
    assert one.data.reconstructions.patches.shape[1:] == (fan_in, 5, 5)
