"""Small NORB in tiny files of its own format, and which images are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from striate.errors import UsageError
from striate.experiments import Context
from striate.experiments.data.views import load_views
from striate.progress import Progress
from tests.images.test_norb import norb_bytes

STEMS = ("smallnorb-5x46789x9x18x6x2x96x96-training", "smallnorb-5x01235x9x18x6x2x96x96-testing")


def write_small_norb(root: Path, n_per_category: int) -> Path:
    """Both parts, with random images whose left one is darker the lower its category."""
    folder = root / "small-norb"
    folder.mkdir()
    for seed, stem in enumerate(STEMS):
        rng = np.random.default_rng(seed)
        category = rng.permutation(np.repeat(np.arange(5, dtype=np.int32), n_per_category))
        images = rng.integers(0, 40, (len(category), 2, 96, 96), dtype=np.uint8)
        images[:, 0] += (40 * category).astype(np.uint8)[:, None, None]
        parts = {"dat": images, "cat": category, "info": np.zeros((len(category), 4), np.int32)}
        for name, values in parts.items():
            (folder / f"{stem}-{name}.mat").write_bytes(norb_bytes(values))
    return folder


def full(folder: Path) -> Context:
    return Context("full", 0, {"small-norb": folder}, folder, Progress(), 1)


def test_labels_are_drawn_from_the_training_toys_and_left_images_are_tested(tmp_path: Path) -> None:
    views = load_views(full(write_small_norb(tmp_path, n_per_category=6)), "small-norb")
    assert len(views.images) == len(views.labels) == 60
    for index in range(60):  # the left images tell the category
        assert int(255 * views.images.read(index).min()) // 40 == views.labels[index]
    train, test = views.draw(4, np.random.default_rng(0))
    assert np.bincount(views.labels[train]).tolist() == [4] * 5
    assert train.max() < 30
    np.testing.assert_array_equal(test, np.arange(30, 60))
    everything, _ = views.draw(6, np.random.default_rng(0))
    np.testing.assert_array_equal(everything, np.arange(30))


def test_a_part_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = write_small_norb(tmp_path, n_per_category=1)
    (folder / f"{STEMS[1]}-dat.mat").unlink()
    with pytest.raises(UsageError, match="holds 0 files that end in -testing-dat"):
        load_views(full(folder), "small-norb")


def test_views_of_an_object_that_were_not_drawn_are_tested(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (12, 64, 64), dtype=np.uint8)
    np.savez(tmp_path / "coil100-64x64.npz", images=images, object=np.repeat([2, 3, 7], 4), azimuth=np.arange(12))
    views = load_views(Context("full", 0, {"coil100": tmp_path}, tmp_path, Progress(), 1), "coil100")
    train, test = views.draw(1, np.random.default_rng(0))
    assert sorted(views.labels[train].tolist()) == [2, 3, 7]
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(12))
