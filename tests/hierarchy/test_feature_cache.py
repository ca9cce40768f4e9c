"""Features on disk: the same numbers, computed once; damaged, foreign and superfluous entries."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate.errors import UsageError
from striate.hierarchy import FeatureCache, FilterBank, Hierarchy, extract_features, feature_cache
from striate.images import Preprocessing, as_images


@pytest.fixture
def hierarchy(rng: np.random.Generator) -> Hierarchy:
    return _with_filters(rng)


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((5, 1, 12, 12)).astype(np.float32)


@pytest.fixture(autouse=True)
def everything_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_cache, "_WORTH_SECONDS", 0.0)


def _with_filters(rng: np.random.Generator) -> Hierarchy:
    bank = FilterBank(4, (3, 3)).with_filters(rng.standard_normal((4, 1, 3, 3), dtype=np.float32))
    return Hierarchy([bank, *Hierarchy("PA5x5/5")])


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_what_was_computed_once_is_not_computed_again(
    hierarchy: Hierarchy, images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = hierarchy.transform(images)
    np.testing.assert_array_equal(FeatureCache(hierarchy, folder=tmp_path)(images[:3]), expected[:3])
    assert len(_entries(tmp_path)) == 3
    asked: list[int] = []
    computed = hierarchy.transform

    def transform(some: np.ndarray) -> Any:
        asked.append(len(some))
        return computed(some)

    monkeypatch.setattr(hierarchy, "transform", transform)
    again = FeatureCache(hierarchy, folder=tmp_path)
    np.testing.assert_array_equal(again(images), expected)  # three from the disk
    np.testing.assert_array_equal(again(images), expected)
    assert asked == [2]


def test_other_filters_have_other_entries(
    hierarchy: Hierarchy, images: np.ndarray, tmp_path: Path, rng: np.random.Generator
) -> None:
    FeatureCache(hierarchy, folder=tmp_path)(images)
    other = _with_filters(rng)
    np.testing.assert_array_equal(FeatureCache(other, folder=tmp_path)(images), other.transform(images))
    assert len(_entries(tmp_path)) == 10


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_a_damaged_entry_counts_as_absent(
    hierarchy: Hierarchy, images: np.ndarray, tmp_path: Path, damage: bytes | None
) -> None:
    expected = FeatureCache(hierarchy, folder=tmp_path)(images)
    for path in _entries(tmp_path):
        content = bytearray(path.read_bytes())
        content[7] ^= 1
        path.write_bytes(content if damage is None else damage)
    np.testing.assert_array_equal(FeatureCache(hierarchy, folder=tmp_path)(images), expected)


def test_beyond_the_limit_those_go_that_were_not_used_for_longest(
    hierarchy: Hierarchy, images: np.ndarray, tmp_path: Path
) -> None:
    cache = FeatureCache(hierarchy, folder=tmp_path)
    cache(images[:4])
    entries = _entries(tmp_path)
    size = entries[0].stat().st_size
    for age, path in enumerate(entries):
        os.utime(path, (1e9 - age, 1e9 - age))
    FeatureCache(hierarchy, folder=tmp_path, limit=3 * size)(images[4:])
    left = _entries(tmp_path)
    assert len(left) == 2  # nine tenths of three
    assert entries[0] in left  # beside the new one, the youngest


def test_nothing_is_kept_where_it_is_not_worth_it_or_not_wanted(
    hierarchy: Hierarchy, images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FeatureCache(hierarchy, folder=tmp_path, limit=0)(images)
    monkeypatch.setenv("STRIATE_CACHE_GB", "0")
    FeatureCache(hierarchy, folder=tmp_path)(images)
    monkeypatch.setattr(feature_cache, "_WORTH_SECONDS", 1e9)
    FeatureCache(hierarchy, folder=tmp_path, limit=1e9)(images)
    assert not _entries(tmp_path)


def test_a_folder_that_cannot_be_written_does_not_end_the_work(
    hierarchy: Hierarchy, images: np.ndarray, tmp_path: Path
) -> None:
    place = tmp_path / "file"
    place.write_bytes(b"no folder")
    cache = FeatureCache(hierarchy, folder=place)
    np.testing.assert_array_equal(cache(images), hierarchy.transform(images))


def test_writers_of_one_process_number_do_not_meet(
    hierarchy: Hierarchy, images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = FeatureCache(hierarchy, folder=tmp_path)(images)
    names = _entries(tmp_path)
    for path in names:
        path.unlink()
        path.with_suffix(f".{os.getpid()}").mkdir()  # what a container's process 1 may have left
    np.testing.assert_array_equal(FeatureCache(hierarchy, folder=tmp_path)(images), expected)
    assert _entries(tmp_path) == names
    for path in names:
        path.unlink()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    np.testing.assert_array_equal(FeatureCache(hierarchy, folder=tmp_path)(images), expected)
    assert not _entries(tmp_path)


@pytest.mark.parametrize("wish", ["much", "-1", "nan"])
def test_a_limit_that_is_none_is_refused(hierarchy: Hierarchy, monkeypatch: pytest.MonkeyPatch, wish: str) -> None:
    monkeypatch.setenv("STRIATE_CACHE_GB", wish)
    with pytest.raises(UsageError, match="STRIATE_CACHE_GB"):
        FeatureCache(hierarchy)


def test_extracted_features_come_from_the_cache(
    hierarchy: Hierarchy, tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path))
    pictures = as_images(rng.random((7, 12, 12)).astype(np.float32))
    preprocessing = Preprocessing(canvas=(12, 12), contrast="ground")
    plain = extract_features(pictures, preprocessing, hierarchy)
    assert not _entries(tmp_path)
    for _ in range(2):
        kept = extract_features(pictures, preprocessing, hierarchy, cache=True)
        np.testing.assert_array_equal(kept.rows, plain.rows)
    assert len(_entries(tmp_path / "features")) == 7
