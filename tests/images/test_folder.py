from __future__ import annotations

import os
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.errors import UnreadableImage, UsageError
from striate.images import ImageFiles, ImageFolder, as_images, file_identity, kinds

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


def test_loose_images_beside_classes_have_no_label(tmp_path: Path) -> None:
    _put(tmp_path, "cat/a.png", "dog/b.png", "loose.png")
    (tmp_path / "horse").mkdir()
    folder = ImageFolder(tmp_path)
    assert folder.labels == ["cat", "dog", ""]
    assert folder.labeled.tolist() == [0, 1]
    assert folder.classes == ("cat", "dog")
    loose, empty = folder.notes
    assert "1 images lie beside" in loose
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


def _without(monkeypatch: pytest.MonkeyPatch, *endings: str) -> None:
    monkeypatch.setattr("striate.images.folder.EXTENSIONS", kinds.EXTENSIONS - set(endings))


def test_images_of_other_kinds_are_told_of_once_a_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without(monkeypatch, ".heic", ".avif")
    _put(tmp_path, "cat/a.png")
    for name in ("cat/1.heic", "cat/2.HEIC", "cat/3.avif", "cat/4.jxl", "cat/5.txt", "cat/6", "cat/7.csv"):
        (tmp_path / name).write_bytes(b"x")
    folder = as_images(tmp_path)
    assert folder.ignored == {".heic": 2, ".avif": 1, ".jxl": 1, ".txt": 1, ".csv": 1, "": 1}
    heic, avif, jxl, others = folder.notes
    assert "2 .heic files were ignored; to read them, pip install pillow-heif" in heic
    assert "1 .avif file was ignored" in avif
    assert "1 .jxl file was ignored; save" in jxl
    assert "3 files are no images and were ignored (1 without an ending, 1 .csv, 1 .txt)" in others


def test_a_class_of_which_nothing_can_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without(monkeypatch, ".heic")
    _put(tmp_path, "cat/a.png")
    for folder in ("stars", "moon/deeper", "words"):
        (tmp_path / folder).mkdir(parents=True)
    for number in range(12):
        (tmp_path / "stars" / f"{number}.heic").write_bytes(b"x")
    (tmp_path / "moon/deeper/1.dng").write_bytes(b"x")
    (tmp_path / "words/1.txt").write_bytes(b"x")
    notes = as_images(tmp_path).notes
    assert "class stars: none of its 12 files can be read (.heic)" in notes
    assert "class moon: its only file cannot be read (.dng)" in notes
    assert any("no classes: words" in note for note in notes)


def test_a_folder_of_nothing_but_heic_says_how_to_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without(monkeypatch, ".heic")
    (tmp_path / "1.heic").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"1 \.heic file was ignored; to read them, pip install pillow-heif"):
        as_images(tmp_path)


@pytest.mark.skipif(sys.platform == "darwin", reason="its file system takes the two forms for one name")
def test_both_forms_of_a_class_name_are_one_class(tmp_path: Path) -> None:
    composed, decomposed = "Br\u00fccke", "Bru\u0308cke"
    _put(tmp_path, f"{composed}/a.png", f"{decomposed}/b.png", "T\u0075\u0308r/c.png")
    folder = as_images(tmp_path)
    assert folder.classes == (composed, "T\u00fcr")
    assert sorted(folder.labels or ()) == [composed, composed, "T\u00fcr"]
    assert {path.exists() for path in folder.paths or ()} == {True}  # names stay as the system has them
    (tmp_path / "list.csv").write_text(f"{decomposed}/b.png,{decomposed}\n{composed}/a.png,{composed}\n")
    assert as_images(tmp_path / "list.csv").classes == (composed,)
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 4, 4)), y=[composed, decomposed])
    assert as_images(tmp_path / "a.npz").labels == [composed, composed]
    assert as_images(folder, [decomposed] * 3).classes == (composed,)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have text for names")
def test_names_that_are_no_text(tmp_path: Path) -> None:
    _put(tmp_path, os.fsdecode(b"caf\xe9/a\xff.png"), "b/b.png")
    folder = as_images(tmp_path)
    assert folder.classes == ("b", "caf\udce9")
    assert [image.shape for image in folder] == [(1, 8, 9), (1, 8, 8)]


@links
def test_identity_of_files(tmp_path: Path) -> None:
    _put(tmp_path, "a.png", "copy.png")
    (tmp_path / "soft.png").symlink_to("a.png")
    os.link(tmp_path / "a.png", tmp_path / "hard.png")
    one = file_identity(tmp_path / "a.png")
    assert one is not None
    assert file_identity(tmp_path / "soft.png") == file_identity(tmp_path / "hard.png") == one
    assert file_identity(tmp_path / "copy.png") != one
    assert file_identity(tmp_path / "missing.png") is None


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
    with pytest.raises(UsageError, match=r"holds no images; striate reads .*\.jpg.*\.png"):
        ImageFolder(tmp_path)
    (tmp_path / "a.doc").write_text("x")
    with pytest.raises(UsageError, match=r"none of its 1 files is an image; striate reads .*\.jpg"):
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
    assert folder.unreadable_folders == ["dog"]
    assert not any("no classes" in note for note in folder.notes)  # unreadable is not empty
    assert folder.subset([0]).unreadable_folders == ["dog"]
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


def test_what_a_file_of_boxes_holds_decides_whether_it_is_an_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heic, avif, jpeg = (
        b"\0\0\0\x18ftypheic" + bytes(99),
        b"\0\0\0\x18ftypmif1\0\0\0\0avif" + bytes(99),
        b"\xff\xd8\xff\xe0",
    )
    for ending in (".heic", ".avif"):
        for name, content in (("heic", heic), ("avif", avif), ("jpeg", jpeg), ("empty", b""), ("text", b"hello")):
            (tmp_path / f"{name}{ending}").write_bytes(content)
    os.mkfifo(tmp_path / "pipe.avif")
    (tmp_path / "nowhere.avif").symlink_to("lost")
    both = frozenset({".heic", ".avif"})
    always = ["jpeg.avif", "jpeg.heic"]
    undecided = [f"{name}.{{}}" for name in ("empty", "nowhere", "pipe", "text")]
    for readable in (both, both - {".heic"}, both - {".avif"}, frozenset()):
        monkeypatch.setattr("striate.images.folder.EXTENSIONS", readable | {".png"})
        expected = {name for ending in both & readable for name in [f"{ending[1:]}.avif", f"{ending[1:]}.heic"]}
        expected |= {name.format(ending[1:]) for name in undecided for ending in readable} | set(always)
        expected -= {"nowhere.heic", "pipe.heic"}
        assert set(as_images(tmp_path).names) == expected
