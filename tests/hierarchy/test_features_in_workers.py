"""Features in workers: those of one process, whatever the number and kind of the workers."""

from __future__ import annotations

import os
import signal
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from joblib import parallel_config
from PIL import Image

from striate.distribute import workers
from striate.errors import UnreadableImage
from striate.hierarchy import Hierarchy, extract_features, learn_filters
from striate.hierarchy.workers import batches_in_workers, extract_in_workers
from striate.images import Preprocessing, Skipped, TarImages, as_images
from striate.images.collection import as_fractions
from striate.images.kept import KeptImages
from striate.images.parts import part_of
from striate.learning import RandomFilters

PREPROCESSING = Preprocessing(canvas=(12, 12), contrast="ground")


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    images = np.random.default_rng(0).standard_normal((20, 1, 12, 12)).astype(np.float32)
    learned, _ = learn_filters(
        Hierarchy("8F3x3 - Rabs - N - PA3x3/3"), images, learners=[RandomFilters(8)], random_state=0
    )
    return learned


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    """700 images in two classes, 1 of 50 of which is broken."""
    folder = tmp_path / "images"
    for i in range(700):
        path = folder / "ab"[i % 2] / f"{i:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if i % 50 == 3:
            path.write_bytes(b"no image")
        else:
            Image.fromarray(rng.integers(0, 256, (12, 12), dtype=np.uint8)).save(path)
    return folder


def same(found: Any, expected: Any) -> None:
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.positions, expected.positions)
    assert found.skipped == expected.skipped


def test_the_same_bits_with_any_workers(folder: Path, hierarchy: Hierarchy) -> None:
    images = as_images(folder)
    expected = extract_features(images, PREPROCESSING, hierarchy)
    assert len(expected.skipped) == 14
    for config in ({"n_jobs": 2}, {"n_jobs": 3}, {"backend": "threading", "n_jobs": 2}):
        with parallel_config(**config):
            same(extract_in_workers(images, PREPROCESSING, hierarchy), expected)


class Deadly:
    """A transform whose process is killed once."""

    def __init__(self, hierarchy: Hierarchy, mark: Path) -> None:
        self.hierarchy, self.mark = hierarchy, mark

    def __call__(self, images: np.ndarray) -> np.ndarray:
        if len(images) > 1 and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        return self.hierarchy.transform(images)


def test_a_killed_worker_changes_nothing(folder: Path, tmp_path: Path, hierarchy: Hierarchy) -> None:
    images = as_images(folder)
    order = np.random.default_rng(1).permutation(len(images))
    expected = extract_features(images, PREPROCESSING, hierarchy, indices=order)
    deadly, skipped = Deadly(hierarchy, tmp_path / "killed"), list[Skipped]()
    with workers(2):
        found = list(batches_in_workers(images, PREPROCESSING, deadly, indices=order, skipped=skipped))
    assert (tmp_path / "killed").exists()
    np.testing.assert_array_equal(np.concatenate([rows for _, rows in found]), expected.rows)
    np.testing.assert_array_equal(np.concatenate([indices for indices, _ in found]), order[expected.positions])
    assert skipped == expected.skipped


def test_without_a_list_an_unreadable_image_is_an_error(folder: Path, hierarchy: Hierarchy) -> None:
    with parallel_config(backend="threading", n_jobs=2), pytest.raises(UnreadableImage, match=r"\.png"):
        list(batches_in_workers(as_images(folder), PREPROCESSING, hierarchy))


def test_arrays_are_sent_as_they_are_read(rng: np.random.Generator, hierarchy: Hierarchy) -> None:
    array = rng.integers(0, 256, (300, 14, 12)).astype(np.float32)  # white is 255
    array[0] = 0  # of the first part alone white would be 1
    for images in map(
        as_fractions, (as_images(array), as_images(array).subset(range(1, 290)), as_images([*array[:5]]))
    ):
        expected = extract_features(images, PREPROCESSING, hierarchy)
        with parallel_config(backend="threading", n_jobs=2):
            same(extract_in_workers(images, PREPROCESSING, hierarchy), expected)


def test_a_part_prepares_the_same_images(folder: Path, tmp_path: Path, rng: np.random.Generator) -> None:
    files = as_images(folder)
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        archive.add(folder / "a", "a")
    shard = TarImages(tmp_path / "shard.tar")
    for images in (files, files.subset(range(10, 100)), KeptImages(files), shard, as_images(rng.random((80, 9, 9)))):
        part = part_of(images, [70, 4], PREPROCESSING)
        assert list(part.names) == [images.names[70], images.names[4]]
        assert part.white == images.white
        for place, index in enumerate([70, 4]):
            np.testing.assert_array_equal(part.prepared(place, PREPROCESSING), images.prepared(index, PREPROCESSING))
            assert part.size_of(place)[2] == 1
        assert part.path_of(0) == images.path_of(70)
