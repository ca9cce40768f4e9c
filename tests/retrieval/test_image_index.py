from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate import model_file
from striate.errors import UnreadableImage, UsageError
from striate.images import as_images, stream
from striate.retrieval import ImageEncoder, ImageIndex, Projection, fit_projection
from striate.retrieval import image_index as module
from tests.recognition.digits import digits, write_folder
from tests.retrieval.small import encoder

STREAM = sys.modules[stream.__module__]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "images", *digits((0, 1, 7), 10))


def new_index(folder: Path, **options: bool) -> ImageIndex:
    index = ImageIndex(encoder(**options))
    index.update(folder)
    return index


def assert_same(one: ImageIndex, other: ImageIndex) -> None:
    assert list(one.items.names()) == list(other.items.names())
    np.testing.assert_array_equal(one.items.stamps, other.items.stamps)
    np.testing.assert_array_equal(one.codes, other.codes)


@pytest.mark.parametrize("binary", [True, False])
def test_an_index_is_searched_saved_and_mapped(binary: bool, folder: Path, tmp_path: Path) -> None:
    index = new_index(folder, binary=binary)
    index.save(tmp_path / "a.index")
    again = ImageIndex.load(tmp_path / "a.index")
    assert_same(index, again)
    assert not again.codes.flags.writeable
    assert isinstance(again.codes.base, np.ndarray)
    for one in (index, again):
        found = one.search([folder / "1" / "0013.png", folder / "7" / "0020.png"], 5)
        assert [one.items.name(row) for row in found.rows[:, 0]] == ["1/0013.png", "7/0020.png"]
        assert found.distances[:, 0].max() < 1e-3
    index.save(tmp_path / "b.index")
    assert (tmp_path / "a.index").read_bytes() == (tmp_path / "b.index").read_bytes()


def test_adding_changing_and_removing_is_like_indexing_anew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = new_index(folder)
    images, _ = digits((3,), 4)
    for name, image in zip(("0/new.png", "a ü.png", "7/zz.png"), images, strict=False):
        Image.fromarray(image).save(folder / name)
    Image.fromarray(images[3]).save(folder / "1" / "0012.png")
    os.utime(folder / "1" / "0014.png", ns=(1, 1))
    for name in ("0/0000.png", "7/0029.png"):
        (folder / name).unlink()

    encoded = 0
    encode = ImageEncoder.encode

    def counted(self: ImageEncoder, pictures: np.ndarray) -> np.ndarray:
        nonlocal encoded
        encoded += len(pictures)
        return encode(self, pictures)

    monkeypatch.setattr(ImageEncoder, "encode", counted)
    changes = index.update(folder)
    assert (changes.added, changes.changed, changes.removed, changes.unchanged) == (3, 2, 2, 26)
    assert encoded == 5
    assert_same(index, new_index(folder))
    assert index.update(folder).unchanged == len(index) == 31


def test_broken_images_are_listed_and_tried_again(folder: Path) -> None:
    index = new_index(folder)
    (folder / "0" / "broken.png").write_bytes(b"no image")
    (folder / "1" / "0011.png").write_bytes(b"")
    for _ in range(2):
        changes = index.update(folder)
        assert sorted(one.name for one in changes.skipped) == ["0/broken.png", "1/0011.png"]
    assert len(index) == 29
    digits_again = write_folder(folder.parent / "again", *digits((1,), 1))
    (digits_again / "1" / "0000.png").replace(folder / "0" / "broken.png")
    assert index.update(folder).added == 1


@pytest.mark.parametrize("when", [0, 1, 3])
def test_what_was_encoded_before_a_kill_is_not_encoded_again(
    when: int, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(STREAM, "BATCH", 7)
    monkeypatch.setattr(module, "_SAVING_SHARE", 0)
    whole, path = tmp_path / "whole.index", tmp_path / "a.index"
    ImageIndex(encoder()).update(folder, save_to=whole)
    encode, batches = ImageEncoder.encode, 0

    def killed(self: ImageEncoder, pictures: np.ndarray) -> np.ndarray:
        nonlocal batches
        batches += 1
        if batches > when:
            raise SystemExit  # nothing of the update runs after this, as after a kill
        return encode(self, pictures)

    with monkeypatch.context() as patched:
        patched.setattr(ImageEncoder, "encode", killed)
        with pytest.raises(SystemExit):
            ImageIndex(encoder()).update(folder, save_to=path, interval=0)
    assert path.exists() == (when > 0)
    index = ImageIndex.load(path) if when else ImageIndex(encoder())
    assert index.complete == (when == 0)
    assert len(index) == 7 * when
    changes = index.update(folder, save_to=path)
    assert (changes.unchanged, changes.added) == (7 * when, 30 - 7 * when)
    assert path.read_bytes() == whole.read_bytes()


def test_an_interrupt_saves_what_is_there(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(STREAM, "BATCH", 10)
    encode, batches = ImageEncoder.encode, 0

    def interrupted(self: ImageEncoder, pictures: np.ndarray) -> np.ndarray:
        nonlocal batches
        batches += 1
        if batches == 3:
            raise KeyboardInterrupt
        return encode(self, pictures)

    monkeypatch.setattr(ImageEncoder, "encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ImageIndex(encoder()).update(folder, save_to=tmp_path / "a.index")
    assert len(ImageIndex.load(tmp_path / "a.index")) == 20


def test_files_that_are_no_index(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.index"
    new_index(folder).save(path)
    whole = path.read_bytes()
    for length in np.linspace(0, len(whole) - 1, 10).astype(int):
        path.write_bytes(whole[:length])
        with pytest.raises(model_file.ModelFileError, match=r"a\.index"):
            ImageIndex.load(path)
    for place in np.linspace(9, len(whole) - 1, 10).astype(int):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(model_file.ModelFileError, match=r"a\.index"):
            ImageIndex.load(path)
    model_file.write(path, {}, {}, kind="image_classifier")
    with pytest.raises(model_file.ModelFileError, match="an index is needed"):
        ImageIndex.load(path)
    with pytest.raises(UsageError, match="does not exist"):
        ImageIndex.load(tmp_path / "none.index")


def test_an_index_of_another_version(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(module, "INDEX_VERSION", 99)
        new_index(folder).save(tmp_path / "a.index")
    with pytest.raises(model_file.ModelFileError, match=r"version 99.*index the folder again"):
        ImageIndex.load(tmp_path / "a.index")


def test_images_in_memory_have_no_files_to_watch() -> None:
    images = as_images(digits((0, 1), 4)[0])
    index = ImageIndex(encoder())
    assert index.update(images).added == 8
    assert index.update(images.subset([0, 1])).removed == 6
    assert len(index) == 2


def test_a_query_that_cannot_be_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "no.png").write_bytes(b"text")
    with pytest.raises(UnreadableImage):
        new_index(folder).search(tmp_path / "no.png", 1)


def test_what_lies_in_a_closed_folder_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = new_index(folder)
    codes = np.array(index.codes)
    scandir = os.scandir

    def closed(path: Any = ".") -> Any:
        if Path(path).name == "1":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    (folder / "0" / "0000.png").unlink()
    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", closed)
        changes = index.update(folder)
    assert (changes.removed, changes.out_of_reach, changes.unchanged) == (1, 10, 19)
    assert list(index.items.names()) == sorted(index.items.names())
    np.testing.assert_array_equal(index.codes, codes[1:])
    changes = index.update(folder)
    assert (changes.removed, changes.out_of_reach, changes.unchanged, changes.added) == (0, 0, 29, 0)


def test_files_that_cannot_be_looked_at_stay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = new_index(folder)
    stat = Path.stat

    def refused(self: Path, **options: Any) -> os.stat_result:
        if self.parent.name == "7" and self.suffix == ".png":
            raise OSError(5, "Input/output error", str(self))
        return stat(self, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", refused)
        changes = index.update(folder)
    assert (changes.removed, changes.out_of_reach, changes.unchanged) == (0, 10, 20)
    assert index.update(folder).unchanged == 30


def test_what_lies_behind_a_link_to_nothing_stays(folder: Path, tmp_path: Path) -> None:
    drive = (folder / "7").rename(tmp_path / "drive")
    (folder / "7").symlink_to(drive)
    index = new_index(folder)
    away = drive.rename(tmp_path / "unplugged")
    changes = index.update(folder)
    assert (changes.removed, changes.out_of_reach, changes.unchanged) == (0, 10, 20)
    away.rename(drive)
    assert index.update(folder).unchanged == 30


def test_absent_folders_and_subsets_are_absent(folder: Path) -> None:
    index = new_index(folder)
    for path in (folder / "7").iterdir():
        path.unlink()
    assert index.update(folder).removed == 10
    (folder / "7").rmdir()
    assert index.update(as_images(folder).subset(range(10))).removed == 10
    assert index.update(folder).added == 10


def test_a_file_with_its_folder_s_encoder_says_from_how_many_it_was_learned(folder: Path, tmp_path: Path) -> None:
    few = replace(encoder(), n_images=7, architecture="auto")
    index = ImageIndex(few)
    index.update(as_images(folder).subset(range(27)))
    assert index.outgrown() is None
    index.update(folder)
    assert "from 7 images, and 30 are indexed now" in str(index.outgrown())
    index.save(tmp_path / "a.index")
    again = ImageIndex.load(tmp_path / "a.index")
    assert (again.encoder.n_images, again.encoder.architecture) == (7, "auto")
    assert again.outgrown() == index.outgrown()
    assert ImageIndex(few).outgrown() is None


@pytest.mark.parametrize("n_images", [None, 10, 30])
def test_codes_that_tell_nothing_apart_are_outgrown(n_images: int | None, folder: Path) -> None:
    def alike(pictures: np.ndarray) -> np.ndarray:
        return np.ones((len(pictures), 2))

    index = ImageIndex(replace(encoder(), describe=alike, projection=constant_projection(), n_images=n_images))
    index.update(folder)
    sentence = index.outgrown()
    assert (sentence is None) == (n_images == 30)
    assert sentence is None or "30 images have 1 different code among them" in sentence


def constant_projection() -> Projection:
    return fit_projection(np.random.default_rng(0).standard_normal((9, 2)), 32, random_state=0)


def test_an_interrupt_between_two_steps_loses_nothing_but_a_batch(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(STREAM, "BATCH", 10)
    add = module._Parts.add
    calls = 0

    def interrupted(self: Any, *parts: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        add(self, *parts)

    monkeypatch.setattr(module._Parts, "add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ImageIndex(encoder()).update(folder, save_to=tmp_path / "a.index")
    assert len(ImageIndex.load(tmp_path / "a.index")) == 10
