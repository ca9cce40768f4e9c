from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from striate.errors import UsageError
from striate.progress import PhaseRecord
from striate.report import ReportData, Sample, StageFilters, write_report
from tests.report.page import Outline, assert_stands_alone


class Point(NamedTuple):
    n_labels: int
    mean: float
    standard_error: float


def written(path: Path, data: ReportData) -> tuple[str, Outline]:
    write_report(path, data)
    page = path.read_text(encoding="utf-8")
    outline = Outline(page)
    assert_stands_alone(page, outline)
    return page, outline


def complete(rng: np.random.Generator, classes: list[str], *, color: bool = False) -> ReportData:
    n, channels = len(classes), 3 if color else 1
    first = rng.standard_normal((64, channels, 9, 9))
    patches = rng.standard_normal((6, channels, 9, 9))
    side = (120, 200, 3) if color else (28, 28)

    def sample(number: int, *, right: bool, unknown: bool = False) -> Sample:
        image = rng.integers(0, 256, side, dtype=np.uint8)
        predicted = classes[number % n] if right else classes[(number + 1) % n]
        return Sample(image, classes[number % n], predicted, 0.9, unknown, f"image {number}.png")

    return ReportData(
        title="Digits",
        command="striate train 'my images' --seed 0",
        accuracy=0.9996,
        mean_class_accuracy=0.981,
        n_classes=n,
        n_train=4000,
        n_test=10_000,
        n_unlabeled=123,
        model_path="digits.safetensors",
        model_bytes=3_400_000,
        reasons=["64 filters, because the images are small."],
        notation="64F9x9 - Rabs - N - PA10x10/5",
        architecture=[
            {"kind": "input", "label": "image", "shape": (1, 28, 28)},
            {"kind": "filter_bank", "label": "64 filters of 9×9", "shape": (64, 20, 20)},
            {"kind": "classifier", "label": "logistic regression", "shape": (n,)},
        ],
        stages=[
            StageFilters("stage 1", "PSD", first, first, None, [(0, 50.0), (100, 20.0)], 0.08, 2),
            StageFilters("stage 2", "PSD", rng.standard_normal((256, 16, 9, 9))),
            StageFilters("stage 3", "random", rng.standard_normal((8, 16, 9, 9)), projected=first[:8]),
        ],
        reconstructions=(patches, rng.standard_normal((6, 64)), 0.8 * patches),
        curve=[Point(100, 0.937, 0.004), Point(1000, 0.976, 0.0)],
        pixel_curve=[Point(100, 0.72, 0.01)],
        random_curve=[Point(100, 0.9, 0.01), Point(1000, 0.95, float("nan"))],
        confusion=(rng.integers(0, 30, (n, n)), classes),
        samples=[sample(i, right=i % 5 > 0, unknown=i == 3) for i in range(24)],
        mistakes=[sample(i, right=False) for i in range(24)],
        unknown={"error_rate": 0.05, "false_alarm_rate": 0.047, "n_held_out": 400, "auroc": 0.953},
        phases=[PhaseRecord("filters of stage 1", 75.2, 3000, "batches", 400_000_000), PhaseRecord("x", 0, 0, "", 0)],
        seconds=3723.0,
        peak_memory_bytes=910_000_000,
        versions={"striate": "0.1.0", "numpy": "2.3"},
        seed=0,
        threads=2,
        skipped=[(f"broken/{i}.jpg", "cut short") for i in range(300)],
        per_class={name: float(rng.random()) for name in classes},
        notes=["Take care."],
        color="yuv" if color else "rgb",
    )


def test_with_nothing_but_a_title_and_a_command(tmp_path: Path) -> None:
    page, outline = written(tmp_path / "report.html", ReportData("Nothing", "striate train x"))
    assert "striate train x" in page
    assert "Accuracy was not measured" in page
    assert outline.headings == [1, 2]


def test_with_everything(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "report.html"
    _, outline = written(path, complete(rng, [str(i) for i in range(10)]))
    text = " ".join(" ".join(outline.texts).split()).replace("\N{NO-BREAK SPACE}", " ")
    for expected in (
        "99.96 %",  # which is not 100.0
        "of 10,000 held-out images",
        "1 h 02 min",
        "1 min 15 s",
        "93.7 ± 0.4 %",
        "64F9x9 - Rabs - N - PA10x10/5",
        "2 units are never active",
        "drawn at random",
        "910 MB",
        "0.953",
        "… and 100 more.",
        "striate train 'my images' --seed 0",
    ):
        assert expected in text
    assert path.stat().st_size < 3_000_000


@pytest.mark.parametrize(
    "field", [name for name in ReportData.__dataclass_fields__ if name not in ("title", "command")]
)
def test_with_one_thing_alone(field: str, tmp_path: Path, rng: np.random.Generator) -> None:
    data = ReportData("One", "striate train x")
    setattr(data, field, getattr(complete(rng, ["a", "b"]), field))
    written(tmp_path / "report.html", data)


def test_hundreds_of_classes_in_color(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "report.html"
    classes = [f"class number {i}" for i in range(257)]
    page, _ = written(path, complete(rng, classes, color=True))
    assert "The other 245 classes" in page
    assert path.stat().st_size < 6_000_000


def test_names_are_text_whatever_is_in_them(tmp_path: Path, rng: np.random.Generator) -> None:
    classes = ["<script>alert(1)</script>", 'a"onclick="x', "two\nlines", "$x$ & ü", "扇子", "\udcff", "{{ 7 * 7 }}"]
    data = complete(rng, classes)
    data.title = "</title><script>alert(2)</script>"
    data.command = "striate train '<b>\n'"
    data.notes = data.reasons = ["<i>"]
    data.skipped = [("<img src=x onerror=alert(3)>.jpg", "<u>")]
    data.versions = {"<v>": "<w>"}
    page, outline = written(tmp_path / "report.html", data)
    text = "".join(outline.texts)
    for name in (
        classes[0],
        classes[1],
        r"two\nlines",
        "$x$ & ü",
        "扇子",
        r"\udcff",
        "{{ 7 * 7 }}",
        "<i>",
        "<u>",
        "<w>",
    ):
        assert name in text
    assert not outline.named("b") or all(set(attributes) <= {"class"} for attributes in outline.named("b"))
    assert not outline.named("u")
    assert "<script" not in page


def test_large_images_become_small(tmp_path: Path, rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (2000, 3000, 3), dtype=np.uint8)
    path = tmp_path / "report.html"
    write_report(path, ReportData("x", "y", samples=[Sample(image, "a", "a")] * 3))
    assert path.stat().st_size < 200_000


def test_a_thousand_filters_are_shown_in_part(tmp_path: Path, rng: np.random.Generator) -> None:
    stage = StageFilters("stage 1", "PSD", rng.standard_normal((1000, 1, 9, 9)))
    page, _ = written(tmp_path / "report.html", ReportData("x", "y", stages=[stage]))
    assert "1,000 filters of 9 × 9" in page
    assert "the first 400 are shown" in page


def test_an_old_report_stays_when_the_new_one_fails(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    broken = StageFilters("stage 1", "PSD", np.full((1, 1, 3, 3), np.nan))
    with pytest.raises(UsageError, match="not finite"):
        write_report(path, ReportData("x", "y", stages=[broken]))
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        write_report(tmp_path / "no" / "report.html", ReportData("x", "y"))
