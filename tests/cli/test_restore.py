"""`striate restore`: agreement with Python, and input that is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.coding import denoise, inpaint
from tests.cli.command import striate


@pytest.fixture
def place(tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a grey and a color image, a mask and filters."""
    monkeypatch.chdir(tmp_path)
    rows, columns = np.indices((12, 14))
    grey = 127 + 90 * np.sin(0.7 * rows + 0.3 * columns) + 5 * rng.standard_normal((12, 14))
    Image.fromarray(grey.astype(np.uint8)).save("grey.png")
    Image.fromarray(np.stack([grey, grey / 2, 255 - grey], axis=2).astype(np.uint8)).save("color.png")
    Image.fromarray((255 * (rng.random((12, 14)) < 0.7)).astype(np.uint8)).save("mask.png")
    np.save("filters.npy", rng.standard_normal((3, 4, 4)))
    np.savez("two.npz", decoder=np.load("filters.npy"), encoder=np.zeros(3))
    return tmp_path


def pixels(path: object) -> np.ndarray:
    return np.asarray(Image.open(str(path)))


def test_noise_is_removed(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    done = striate(capsys, "restore", "grey.png", "color.png", "--filters", "two.npz", "--noise", 0.05, "--json", "-q")
    assert done.code == 0, done.err
    assert done.json["images"] == ["restored/grey.png", "restored/color.png"]
    filters = np.load("filters.npy")
    found = denoise((pixels("grey.png") / 255).astype(np.float32), filters, noise=0.05)
    np.testing.assert_allclose(pixels("restored/grey.png"), np.round(255 * np.clip(found, 0, 1)), atol=1)
    own = striate(capsys, "restore", "grey.png", "--noise", 0.05, "--out", "own", "--json", "-q")
    assert own.code == 0, own.err
    assert own.json["n_filters"] == 128
    found = denoise((pixels("grey.png") / 255).astype(np.float32), noise=0.05)
    np.testing.assert_allclose(pixels("own/grey.png"), np.round(255 * np.clip(found, 0, 1)), atol=1)
    assert pixels("restored/color.png").shape == (12, 14, 3)


def test_missing_pixels_are_filled_in(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    options = ("--filters", "filters.npy", "--mask", "mask.png", "--out", "filled", "-q")
    done = striate(capsys, "restore", "grey.png", *options)
    assert done.code == 0, done.err
    known, image = pixels("mask.png") > 127, pixels("grey.png")
    assert f"{1 - known.mean():.1%} of the pixels filled in" in done.out
    restored = pixels("filled/grey.png")
    np.testing.assert_array_equal(restored[known], image[known])
    found = inpaint((image / 255).astype(np.float32), known, np.load("filters.npy"))
    np.testing.assert_allclose(restored, np.round(255 * np.clip(found, 0, 1)), atol=1)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["none.png", "--filters", "filters.npy"], 2, "none.png: no such file"),
        (["grey.png", "--filters", "none.npy"], 2, "no such file"),
        (["grey.png", "--filters", "grey.png"], 1, "cannot be read as an array"),
        (["grey.png", "--filters", "flat.npy"], 2, "filters are an array"),
        (["grey.png", "--filters", "many.npy"], 2, "images have 1 or 3"),
        (["grey.png", "--filters", "two.npz", "--key", "x"], 2, "holds decoder, encoder"),
        (["grey.png", "--filters", "filters.npy", "--mask", "black.png"], 2, "black everywhere"),
        (["grey.png", "--filters", "filters.npy", "--mask", "text.png"], 2, "--mask text.png"),
        (["grey.png", "--filters", "filters.npy", "--mask", "none.png"], 2, "--mask none.png"),
        (["grey.png", "--filters", "filters.npy", "--mask", "small.png"], 2, "small.png is 5×5, but grey.png is 12×14"),
        (["grey.png", "--filters", "filters.npy", "--mask", "mask.png", "--noise", "0.1"], 2, "without --mask"),
        (["grey.png", "sub/grey.png", "--filters", "filters.npy"], 2, "two images would be written"),
        (["text.png", "--filters", "filters.npy"], 2, "no image could be read"),
        (["grey.png", "--filters", "filters.npy", "--out", "."], 2, "grey.png"),
        (["grey.png", "--filters", "filters.npy", "--out", "mask.png"], 2, "mask.png is a file"),
    ],
)
def test_wrong_input_is_one_sentence(
    capsys: pytest.CaptureFixture[str], place: Path, options: list[str], code: int, message: str
) -> None:
    Image.fromarray(np.zeros((12, 14), np.uint8)).save("black.png")
    Image.fromarray(np.full((5, 5), 255, np.uint8)).save("small.png")
    Path("sub").mkdir()
    Path("sub/grey.png").write_bytes(Path("grey.png").read_bytes())
    Path("text.png").write_text("this is text")
    np.save("flat.npy", np.ones((4, 4)))
    np.save("many.npy", np.ones((4, 2, 3, 3)))
    before = Path("grey.png").read_bytes()
    done = striate(capsys, "restore", *options, "-q")
    assert done.code == code, done.err
    assert message in done.err.replace("\n", " ")
    assert "Traceback" not in done.err
    assert Path("grey.png").read_bytes() == before
