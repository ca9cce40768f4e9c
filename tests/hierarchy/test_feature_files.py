"""Features in several files: those of one array, and what is complete is kept."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from joblib import parallel_config

from striate.errors import StriateError, UsageError
from striate.hierarchy import Hierarchy, extract_features, read_feature_files, write_feature_files
from striate.images import as_images
from striate.progress import Progress
from tests.hierarchy.test_features import HIERARCHY, PREPROCESSING, some_broken


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    """300 images, 3 of which are broken."""
    return some_broken(tmp_path / "images", rng, 300, 100)


def times(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in sorted(out.iterdir())}


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_files_hold_the_features(folder: Path, tmp_path: Path, n_jobs: int) -> None:
    images = as_images(folder)
    expected = extract_features(images, PREPROCESSING, HIERARCHY)
    progress = Progress()
    with parallel_config(backend="threading", n_jobs=n_jobs):
        files = write_feature_files(images, PREPROCESSING, HIERARCHY, tmp_path / "out", per_file=128, progress=progress)
    assert [len(one.names) for one in files] == [126, 127, 44]
    np.testing.assert_array_equal(np.concatenate([one.rows for one in files]), expected.rows)
    assert [name for one in files for name in one.names] == [images.names[k] for k in expected.positions]
    assert [skipped for one in files for skipped in one.skipped] == expected.skipped
    assert [record.items for record in progress.records if record.name == "features"] == [300]
    assert sorted(times(tmp_path / "out")) == [f"features-0000{k}.{e}" for k in range(3) for e in ("json", "npy")]


def test_only_what_is_missing_or_of_other_images_is_written_again(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def write(hierarchy: Hierarchy = HIERARCHY) -> set[str]:
        before = times(out) if out.exists() else {}
        files = write_feature_files(as_images(folder), PREPROCESSING, hierarchy, out, per_file=128)
        expected = extract_features(as_images(folder), PREPROCESSING, hierarchy)
        np.testing.assert_array_equal(np.concatenate([one.rows for one in files]), expected.rows)
        return {name[:14] for name, time in times(out).items() if before.get(name) != time}

    every = {f"features-0000{k}" for k in range(3)}
    assert write() == every
    assert write() == set()
    (out / "features-00001.npy").unlink()  # as a run leaves it that was killed before the second file
    assert write() == {"features-00001"}
    (out / "features-00002.json").write_bytes(b"{")
    assert write() == {"features-00002"}
    os.utime(folder / "299.png", ns=(1, 1))
    assert write() == {"features-00002"}
    assert write(Hierarchy("Rabs - PM4x4/4")) == every
    for path in list(folder.iterdir())[:200]:
        path.unlink()
    write()
    assert len(times(out)) == 2


def test_arrays_are_known_by_their_content(tmp_path: Path, rng: np.random.Generator) -> None:
    array = rng.random((10, 12, 12)).astype(np.float32)
    for _ in range(2):
        (one,) = write_feature_files(as_images(array), PREPROCESSING, HIERARCHY, tmp_path)
        np.testing.assert_array_equal(one.rows, extract_features(as_images(array), PREPROCESSING, HIERARCHY).rows)
        array = array[::-1].copy()


def test_damaged_files_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no features"):
        read_feature_files(tmp_path)
    write_feature_files(as_images(folder), PREPROCESSING, HIERARCHY, tmp_path / "out", per_file=128)
    (tmp_path / "out/features-00001.npy").write_bytes(b"")
    with pytest.raises(StriateError, match=r"features-00001\.npy: is damaged"):
        read_feature_files(tmp_path / "out")


def test_a_folder_that_cannot_be_written_ends_in_one_sentence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "features-00001.npy").mkdir(parents=True)
    with pytest.raises(StriateError, match=r"features-00001\.npy"):
        write_feature_files(as_images(folder), PREPROCESSING, HIERARCHY, tmp_path / "out", per_file=128)
    (tmp_path / "out" / "features-00001.npy").rmdir()
    assert len(write_feature_files(as_images(folder), PREPROCESSING, HIERARCHY, tmp_path / "out", per_file=128)) == 3
