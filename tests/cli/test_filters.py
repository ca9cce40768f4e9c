"""`striate filters`: each learner's image and arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.cli._images import patches_of_folder
from striate.cli._left_out import LeftOut
from striate.figures import filter_mosaic
from striate.progress import Progress
from tests.cli.command import striate


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    (tmp_path / "images").mkdir()
    for number in range(3):
        Image.fromarray(rng.integers(0, 256, (40, 60), np.uint8)).save(tmp_path / "images" / f"{number}.png")
    return tmp_path / "images"


@pytest.mark.parametrize(
    ("options", "arrays"),
    [
        ((), {"encoder", "decoder", "bias", "gain"}),
        (("--encoder", "lista"), {"encoder", "decoder"}),
        (("--learner", "conv-psd"), {"encoder", "decoder", "bias", "gain"}),
        (("--learner", "topographic"), {"encoder", "decoder", "bias", "gain"}),
        (("--learner", "sparse-coding"), {"decoder"}),
        (("--learner", "random"), {"encoder", "decoder", "bias", "gain"}),
    ],
)
def test_each_learner_writes_its_filters(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, options: tuple[str, ...], arrays: set[str]
) -> None:
    out = tmp_path / "filters.png"
    done = striate(
        capsys, "filters", folder, "--n", 16, "--size", 6, "--patches", 300, "--out", out, "--json", "-q", *options
    )
    assert done.code == 0, done.err
    with np.load(done.json["arrays"]) as found:
        assert set(found) == arrays
        assert found["decoder"].shape == (16, 1, 6, 6)
    with Image.open(out) as image:
        assert (image.width > 1.5 * image.height) == ("encoder" in arrays)


def test_a_sheet_is_drawn_as_it_is_laid_out(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    options = ("--learner", "topographic", "--n", 18, "--size", 6, "--patches", 300, "--out", tmp_path / "sheet.png")
    done = striate(capsys, "filters", folder, *options, "--json", "-q")
    assert done.code == 0, done.err
    assert done.json["sheet"] == [6, 3]
    with np.load(done.json["arrays"]) as found, Image.open(done.json["picture"]) as image:
        drawn = filter_mosaic(found["encoder"], columns=3)
        np.testing.assert_array_equal(np.asarray(image)[:, : drawn.shape[1]], drawn)


def test_filters_of_photographs_see_normalized_contrast(tmp_path: Path, rng: np.random.Generator) -> None:
    Image.fromarray(rng.integers(0, 256, (130, 180), np.uint8)).save(tmp_path / "photograph.png")
    patches, preprocessing = patches_of_folder(tmp_path, 50, 6, 0, Progress(), LeftOut())
    assert preprocessing.contrast == "local"
    assert patches.min() < 0


def test_what_is_wrong_is_said(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "filters.png"
    for options, word in (
        (("--learner", "pca"), "sparse-coding"),
        (("--learner", "random", "--encoder", "lista"), "PSD"),
        (("--encoder", "sigmoid"), "lista"),
    ):
        done = striate(capsys, "filters", folder, "--patches", 300, "--size", 6, "--out", out, "-q", *options)
        assert done.code == 2
        assert word in done.err


def test_filters_larger_than_the_images_are_refused_in_the_words_of_the_command(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    for command in ("filters", "code"):
        out = tmp_path / ("f.png" if command == "filters" else "c.npz")
        done = striate(capsys, command, folder, "--size", 100, "--n", 4, "--out", out, "-q")
        assert done.code == 2
        assert "smaller --size" in done.err
        assert "min_std" not in done.err


def test_more_units_than_memory_holds_are_refused(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sysconf", lambda _: 10_000)  # 100 MB
    for command, name in (("filters", "f.png"), ("code", "c.npz")):
        done = striate(
            capsys, command, folder, "--n", 1_000_000, "--size", 6, "--patches", 10, "--out", tmp_path / name, "-q"
        )
        assert done.code == 2
        assert "give fewer" in done.err
