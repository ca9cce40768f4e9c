from __future__ import annotations

import os
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.errors import UnreadableImage, UsageError
from striate.images import ImageFiles, ImageFolder, as_images

links = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")


def _put(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8 + number, 8), number).save(path)
    return folder


def test_one_sub_folder_a_class(tmp_path: Path) -> None:
    folder = ImageFolder(_put(tmp_path, "dog/b.png", "cat/b.JPG", "cat/a.png", "cat/deeper/down/c.png"))
    assert folder.names == ["cat/a.png", "cat/b.JPG", "cat/deeper/down/c.png", "dog/b.png"]
    assert folder.labels == ["cat", "cat", "cat", "dog"]
    assert folder.classes == ("cat", "dog")
    assert folder.notes == []
    assert folder.path_of(3) == tmp_path / "dog" / "b.png"
    assert folder.paths == [tmp_path / name for name in folder.names]
    assert folder.size_of(0) == (8, 10, 1)
    np.testing.assert_array_equal(folder[0], np.full((1, 8, 10), 2 / 255, np.float32))


def test_flat_has_no_labels(tmp_path: Path) -> None:
    _put(tmp_path, "b.png", "a.png")
    (tmp_path / "empty").mkdir()
    folder = ImageFolder(tmp_path)
    assert folder.names == ["a.png", "b.png"]
    assert folder.labels is None
    assert folder.classes == ()
    assert folder.labeled.size == 0


def test_classes_named_by_numbers_are_in_their_order(tmp_path: Path) -> None:
    assert ImageFolder(_put(tmp_path, "10/a.png", "9/a.png", "-1/a.png")).classes == ("-1", "9", "10")


def test_loose_pictures_beside_classes_have_no_label(tmp_path: Path) -> None:
    _put(tmp_path, "cat/a.png", "dog/b.png", "loose.png")
    (tmp_path / "horse").mkdir()
    folder = ImageFolder(tmp_path)
    assert folder.labels == ["cat", "dog", ""]
    assert folder.labeled.tolist() == [0, 1]
    assert folder.classes == ("cat", "dog")
    loose, empty = folder.notes
    assert "1 pictures lie beside" in loose
    assert "no classes: horse" in empty


def test_classes_one_level_too_deep_get_a_hint(tmp_path: Path) -> None:
    (note,) = ImageFolder(_put(tmp_path, "data/cat/a.png", "data/dog/b.png")).notes
    assert str(tmp_path / "data") in note


def test_what_is_skipped_and_what_is_counted(tmp_path: Path) -> None:
    _put(tmp_path, "cat/a.png", ".hidden/a.png", "cat/.b.png", "__MACOSX/cat/a.png", "cat/._a.png")
    for name in ("readme.txt", "cat/notes.csv", "cat/Thumbs.db", "cat/.DS_Store", "desktop.ini"):
        (tmp_path / name).write_text("x")
    folder = ImageFolder(tmp_path)
    assert folder.names == ["cat/a.png"]
    assert folder.n_ignored == 2


@links
def test_links_in_a_circle_end(tmp_path: Path) -> None:
    _put(tmp_path, "cat/a.png", "dog/b.png", "cat/more/c.png")
    (tmp_path / "cat" / "up").symlink_to(tmp_path)
    (tmp_path / "cat" / "more" / "again").symlink_to(tmp_path / "cat")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "all").symlink_to(tmp_path)
    folder = ImageFolder(tmp_path)
    assert folder.names == ["cat/a.png", "cat/more/c.png", "dog/b.png"]
    assert any("3 links" in note for note in folder.notes)


@links
def test_links_to_other_places_are_followed(tmp_path: Path) -> None:
    elsewhere = _put(tmp_path / "elsewhere", "a.png")
    root = _put(tmp_path / "root", "cat/x.png")
    (root / "dog").symlink_to(elsewhere)
    (root / "cat" / "linked.png").symlink_to(elsewhere / "a.png")
    (root / "cat" / "gone.png").symlink_to(elsewhere / "gone.png")
    folder = ImageFolder(root)
    assert folder.names == ["cat/gone.png", "cat/linked.png", "cat/x.png", "dog/a.png"]
    with pytest.raises(UnreadableImage, match="does not exist"):
        folder[0]


@pytest.mark.skipif(sys.platform == "win32", reason="such names are not allowed there")
def test_strange_names(tmp_path: Path) -> None:
    folder = ImageFolder(_put(tmp_path, "кошка/фото\n1.png", "a\\b/c.png", "猫/\u202egnp.png"))
    assert folder.classes == ("a\\b", "кошка", "猫")
    assert len(list(folder)) == 3


def test_empty_and_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no pictures; striate reads .*\.jpg.*\.png"):
        ImageFolder(tmp_path)
    (tmp_path / "a.doc").write_text("x")
    with pytest.raises(UsageError, match=r"none of its 1 files is a picture; striate reads .*\.jpg"):
        ImageFolder(tmp_path)
    for name in ("t10k-images-idx3-ubyte.gz", "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"):
        (tmp_path / name).write_text("x")
    with pytest.raises(UsageError, match=r"give .*train-images-idx3-ubyte\.gz"):
        ImageFolder(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        ImageFolder(tmp_path / "missing")
    with pytest.raises(UsageError, match=r"neither a folder nor a \.csv"):
        ImageFolder(tmp_path / "a.doc")


def test_folders_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _put(tmp_path, "cat/a.png", "dog/b.png")
    scandir = os.scandir

    def guarded(folder: Path) -> object:  # simulated, because the superuser may open everything
        if Path(folder).name in closed:
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", guarded)
    closed = {"dog"}
    folder = ImageFolder(tmp_path)
    assert folder.names == ["cat/a.png"]
    assert any("Permission denied" in note for note in folder.notes)
    for more in ("cat", tmp_path.name):
        closed.add(more)
        with pytest.raises(UsageError, match="Permission denied"):
            ImageFolder(tmp_path)


def test_csv_paths_are_relative_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _put(tmp_path, "sub/a.png", "sub/b.png")
    absolute = tmp_path / "sub" / "b.png"
    (tmp_path / "sub" / "list.csv").write_text(f"path,label\na.png,3\n{absolute},\nmissing.png,12\n")
    for working_folder, path in ((tmp_path, "sub/list.csv"), (tmp_path / "sub", "list.csv")):
        monkeypatch.chdir(working_folder)
        folder = as_images(path)
        assert folder.labels == ["3", "", "12"]
        assert folder.classes == ("3", "12")
        assert folder[0].shape == (1, 8, 8)
        assert folder[1].shape == (1, 8, 9)
        with pytest.raises(UnreadableImage, match=r"missing\.png: does not exist"):
            folder[2]


def test_a_list_of_files(tmp_path: Path) -> None:
    _put(tmp_path, "a.png", "b.png")
    files = ImageFiles([tmp_path / "b.png", str(tmp_path / "a.png")])
    assert files.names == [str(tmp_path / "b.png"), str(tmp_path / "a.png")]
    assert files.labels is None
    assert [image.shape for image in files] == [(1, 8, 9), (1, 8, 8)]


def test_many_files_are_names_only(tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / f"{number:06}.jpg").touch()
    tracemalloc.start()
    folder = ImageFolder(tmp_path)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(folder) == 2000
    assert held < 2000 * 150  # bytes: a name, and its place in the list
