"""Index files that are searched as one: the result is that of a single index."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.errors import UsageError
from striate.images import as_images
from striate.retrieval import ImageIndex, IndexShards
from tests.recognition.digits import digits
from tests.retrieval.small import encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 digits in three folders, some of them several times."""
    root = tmp_path_factory.mktemp("digits")
    images = digits((0, 1, 7), 20)[0]
    for number, image in enumerate(images):
        path = root / ("a", "a-b", "c")[number % 3] / f"{number:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(images[number // 10 * 10] if number % 2 else image).save(path)
    return root


def shards_of(folder: Path, to: Path, *, n_bits: int = 32, binary: bool = True) -> Path:
    to.mkdir(exist_ok=True)
    for part in ("c", "a", "a-b"):
        index = ImageIndex(encoder(n_bits=n_bits, binary=binary), str(folder / part))
        index.update(folder / part, save_to=to / f"{part}.index")
    return to


@pytest.mark.parametrize(("n_bits", "binary"), [(32, True), (3, True), (8, False)])
@pytest.mark.parametrize("n_neighbors", [1, 7, 60])
def test_the_neighbors_of_a_single_index(
    folder: Path, tmp_path: Path, n_bits: int, binary: bool, n_neighbors: int
) -> None:
    whole = ImageIndex(encoder(n_bits=n_bits, binary=binary), str(folder))
    whole.update(folder)
    shards = IndexShards(shards_of(folder, tmp_path / "shards", n_bits=n_bits, binary=binary))
    assert len(shards) == len(whole) == 60
    assert shards.folder == str(folder)
    queries = as_images(folder)
    expected, found = whole.search(queries, n_neighbors), shards.search(queries, n_neighbors)
    np.testing.assert_array_equal(found.distances, expected.distances)
    assert found.distances.dtype == expected.distances.dtype
    for rows, others in zip(found.rows.tolist(), expected.rows.tolist(), strict=True):
        assert list(map(shards.name, rows)) == list(map(whole.items.name, others))
        assert list(map(shards.stamp, rows)) == list(map(whole.items.stamp, others))


def test_shards_are_added_and_removed_as_files(folder: Path, tmp_path: Path) -> None:
    files = shards_of(folder, tmp_path / "shards")
    (files / "a.index").rename(tmp_path / "a.index")
    shards = IndexShards(files)
    assert len(shards) == 40
    assert not any(shards.name(row).startswith("a/") for row in range(40))
    with pytest.raises(UsageError, match="40"):
        shards.search(as_images(folder).subset([0]), 41)
    with pytest.raises(IndexError, match="row 40 of 40"):
        shards.name(40)
    assert len(IndexShards([*files.iterdir(), tmp_path / "a.index"])) == 60
    one = IndexShards(tmp_path / "a.index")
    assert (one.folder, one.name(0)) == (str(folder / "a"), "00.png")


def test_an_empty_shard_and_an_incomplete_one(folder: Path, tmp_path: Path) -> None:
    files = shards_of(folder, tmp_path / "shards")
    empty = ImageIndex(encoder(), str(folder / "none"))
    empty.complete = False
    empty.save(files / "b.index")
    shards = IndexShards(files)
    assert not shards.complete
    assert len(shards.search(as_images(folder).subset([5]), 4).rows[0]) == 4


def test_folders_without_a_common_one_keep_whole_names(folder: Path, tmp_path: Path) -> None:
    for number, where in enumerate(("", str(folder))):
        ImageIndex(encoder(), where).save(tmp_path / f"{number}.index")
    loose = ImageIndex(encoder(), "")
    loose.update(as_images(folder / "a"), save_to=tmp_path / "0.index")
    shards = IndexShards(tmp_path)
    assert shards.folder == ""
    assert shards.name(0) == "00.png"


def test_what_cannot_be_searched_together(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no file that ends in \.index"):
        IndexShards(tmp_path)
    with pytest.raises(UsageError, match="no index"):
        IndexShards([])
    files = shards_of(folder, tmp_path / "shards")
    ImageIndex(encoder(n_bits=16), str(folder)).save(files / "d.index")
    with pytest.raises(UsageError, match=r"d\.index has another encoder than .*a-b\.index.*--like"):
        IndexShards(files)
