"""Features of collections: order, unreadable images, memory maps, and going on after a kill."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.checkpoint import Checkpoint
from striate.errors import StriateError
from striate.hierarchy import Hierarchy, extract_features, small_pixels
from striate.images import Preprocessing, as_images

PREPROCESSING = Preprocessing(canvas=(12, 12), contrast="ground")
HIERARCHY = Hierarchy("Rabs - PA4x4/4")


def some_broken(folder: Path, rng: np.random.Generator, n: int, every: int) -> Path:
    """A new folder of `n` images, of which one in `every` is broken, the fourth first."""
    folder.mkdir()
    for i in range(n):
        path = folder / f"{i:03}.png"
        if i % every == 3:
            path.write_bytes(b"no image")
        else:
            Image.fromarray(rng.integers(0, 256, (12, 12), dtype=np.uint8)).save(path)
    return folder


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    """200 images, each fifth of which is broken."""
    return some_broken(tmp_path / "images", rng, 200, 5)


def test_rows_are_the_readable_images_in_order(folder: Path) -> None:
    images = as_images(folder)
    order = np.arange(len(images))[::-1]
    found = extract_features(images, PREPROCESSING, HIERARCHY, indices=order)
    assert len(found.rows) == 160
    assert len(found.skipped) == 40
    readable = order[found.positions]
    assert not (readable % 5 == 3).any()
    for row, index in zip(found.rows, readable, strict=True):
        expected = HIERARCHY.transform(PREPROCESSING(images[index])[None]).reshape(-1)
        np.testing.assert_allclose(row, expected, atol=1e-6)


def test_more_than_half_unreadable_is_an_error(folder: Path) -> None:
    for path in sorted(folder.iterdir())[:120]:
        path.write_bytes(b"")
    with pytest.raises(StriateError, match="could not be read"):
        extract_features(as_images(folder), PREPROCESSING, HIERARCHY)


def test_on_disk_the_same_as_in_memory(folder: Path, tmp_path: Path) -> None:
    images = as_images(folder)
    in_memory = extract_features(images, PREPROCESSING, small_pixels)
    on_disk = extract_features(images, PREPROCESSING, small_pixels, folder=tmp_path)
    assert isinstance(on_disk.rows, np.memmap)
    np.testing.assert_array_equal(on_disk.rows, in_memory.rows)


class Kill(Exception):
    """A kill at a chosen moment."""


@pytest.mark.parametrize("batches_before_kill", [1, 2])
def test_goes_on_behind_the_last_batch_that_is_safe(folder: Path, tmp_path: Path, batches_before_kill: int) -> None:
    images = as_images(folder)
    whole = extract_features(images, PREPROCESSING, HIERARCHY)
    seen = 0

    def interrupted(batch: np.ndarray) -> np.ndarray:
        nonlocal seen
        seen += 1
        if seen > 1 + batches_before_kill:  # the first call asks for the number of features
            raise Kill
        return HIERARCHY.transform(batch)

    with pytest.raises(Kill):
        extract_features(images, PREPROCESSING, interrupted, checkpoint=Checkpoint(tmp_path / "c", {}, interval=0))
    again = Checkpoint(tmp_path / "c", {}, interval=0)
    resumed = extract_features(images, PREPROCESSING, HIERARCHY, checkpoint=again)
    np.testing.assert_array_equal(resumed.rows, whole.rows)
    np.testing.assert_array_equal(resumed.positions, whole.positions)
    assert resumed.skipped == whole.skipped
    # And once more from a finished one, without reading an image.
    for path in folder.iterdir():
        path.unlink()
    finished = extract_features(images, PREPROCESSING, HIERARCHY, checkpoint=again)
    np.testing.assert_array_equal(finished.rows, whole.rows)
    assert finished.skipped == whole.skipped


def _damages(path: Path) -> dict[str, bytes | None]:
    content = path.read_bytes()
    damages: dict[str, bytes | None] = {
        "gone": None, "empty": b"", "cut": content[:-7], "half": content[: len(content) // 2], "longer": content + b"x",
        "garbage": bytes(range(256)) * 9, "zeros": content[:128] + bytes(len(content) - 128),
    }  # fmt: skip
    for part in range(5):
        flipped = bytearray(content)
        flipped[(2 * part + 1) * len(content) // 10] ^= 16
        damages[f"flipped {part}"] = bytes(flipped)
    return damages


@pytest.mark.parametrize("finished", [True, False])
def test_what_is_damaged_in_a_checkpoint_is_computed_again(folder: Path, tmp_path: Path, finished: bool) -> None:
    images = as_images(folder)
    whole = extract_features(images, PREPROCESSING, HIERARCHY)
    calls = 0

    def transform(batch: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        if not finished and calls == 4:
            raise Kill
        return HIERARCHY.transform(batch)

    checkpoint = Checkpoint(tmp_path / "c", {}, interval=0)
    with nullcontext() if finished else pytest.raises(Kill):
        extract_features(images, PREPROCESSING, transform, checkpoint=checkpoint)
    kept = {path: path.read_bytes() for path in (tmp_path / "c").iterdir() if path.suffix in (".npy", ".safetensors")}
    assert len(kept) == 2
    for path in kept:
        for name, content in _damages(path).items():
            for other, old in kept.items():
                other.unlink(missing_ok=True)
                other.write_bytes(old)
            path.unlink()
            if content is not None:
                path.write_bytes(content)
            calls = -100
            resumed = extract_features(images, PREPROCESSING, transform, checkpoint=checkpoint)
            np.testing.assert_array_equal(resumed.rows, whole.rows, err_msg=f"{path.name} {name}")
            np.testing.assert_array_equal(resumed.positions, whole.positions)
            assert resumed.skipped == whole.skipped
            again = extract_features(images, PREPROCESSING, transform, checkpoint=checkpoint)
            np.testing.assert_array_equal(again.rows, whole.rows)
