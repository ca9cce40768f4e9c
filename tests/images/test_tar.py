"""Images in tar files: those of the folder that was packed, and errors of one sentence."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.errors import UnreadableImage, UsageError
from striate.images import ImageFolder, TarImages
from striate.images.tar import tar_files


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    folder = tmp_path / "images"
    for number in range(20):
        path = folder / ("cat", "dog")[number % 2] / f"{number:02}.{('png', 'jpg')[number % 3 == 0]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        turned = Image.Exif()
        turned[274] = 1 + number % 8
        Image.fromarray(rng.integers(0, 256, (9, 8 + number, 3), dtype=np.uint8)).save(path, exif=turned)
    return folder


def pack(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def contents(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}


def test_shards_hold_the_images_of_the_folder(folder: Path, tmp_path: Path) -> None:
    expected = ImageFolder(folder)
    shards = tmp_path / "shards"
    shards.mkdir()
    for number, names in enumerate((expected.names[:7], expected.names[7:8], expected.names[8:])):
        pack(shards / f"{number}.tar", contents(folder, names) | {"notes.txt": b"text", ".hidden.png": b""})
    found = TarImages(shards)
    assert tar_files(shards) == sorted(shards.iterdir())
    assert [name.partition("/")[2] for name in found.names] == expected.names
    assert [name.partition("/")[0] for name in found.names] == ["0"] * 7 + ["1"] + ["2"] * 12
    assert found.labels == expected.labels
    assert found.ignored == {".txt": 3}
    assert found.paths is None
    for index in range(20):
        assert found.size_of(index) == expected.size_of(index)
        np.testing.assert_array_equal(found[index], expected[index])
        for form in ({"color": False}, {"color": True, "at_least": 4}):
            np.testing.assert_array_equal(found.read(index, **form), expected.read(index, **form))
    part = pickle.loads(pickle.dumps(found.part([19, 2, 7])))
    assert part.names == [found.names[index] for index in (19, 2, 7)]
    for place, index in enumerate((19, 2, 7)):
        np.testing.assert_array_equal(part[place], expected[index])
    assert len(TarImages(shards / "2.tar")) == 12


def test_labels_of_webdataset(folder: Path, tmp_path: Path) -> None:
    image = (folder / "cat/02.png").read_bytes()
    members = {
        "./train/0001.PNG": image, "./train/0001.cls": b"7\n", "./train/0001.json": b"{}",
        "train/0002.left.png": image, "train/0002.cls": "cafe\u0301".encode(), "0003.png": image,
    }  # fmt: skip
    found = TarImages(pack(tmp_path / "shard.tar", members))
    assert found.names == ["shard/train/0001.PNG", "shard/train/0002.left.png", "shard/0003.png"]
    assert found.labels == ["7", "caf\u00e9", ""]
    assert TarImages(pack(tmp_path / "flat.tar", {"1.png": image})).labels is None


def test_a_folder_with_anything_else_is_a_folder_of_images(folder: Path, tmp_path: Path) -> None:
    pack(folder / "more.tar", contents(folder, ["cat/02.png"]))
    assert tar_files(folder) == []
    assert tar_files(tmp_path / "absent") == []
    assert tar_files(folder.parent) == []


def test_an_image_that_cannot_be_decoded(folder: Path, tmp_path: Path) -> None:
    image = (folder / "cat/02.png").read_bytes()
    path = pack(tmp_path / "bad.tar", {"no.png": b"no image at all", "empty.jpg": b"", "cut.png": image[:80]})
    found = TarImages(path)
    for index, reason in enumerate(("is not an image", "is empty", "damaged|cut off")):
        with pytest.raises(UnreadableImage, match=rf"bad\.tar/{found.names[index][4:]}: .*({reason})"):
            found.read(index)
    with pytest.raises(UnreadableImage, match="is not an image"):
        found.size_of(0)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(UnreadableImage, match="cut off"):
        found.read(2)
    path.unlink()
    with pytest.raises(UnreadableImage, match="does not exist"):
        found.read(0)


def test_what_is_no_shard(folder: Path, tmp_path: Path) -> None:
    members = contents(folder, ["cat/02.png", "cat/04.png"])
    whole = pack(tmp_path / "whole.tar", members).read_bytes()
    for name, content, reason in (
        ("no.tar", b"anything" * 200, "is damaged, or no tar file"),
        ("cut.tar", whole[:700], "is damaged, or no tar file"),
        ("empty.tar", b"", "is damaged, or no tar file"),
        ("gz.tar", b"\x1f\x8b\x08" + bytes(100), "is compressed"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError, match=rf"{name}: {reason}"):
            TarImages(tmp_path / name)
    with pytest.raises(UsageError, match=r"none\.tar: holds no images"):
        TarImages(pack(tmp_path / "none.tar", {"a.txt": b"text"}))
    with pytest.raises(UsageError, match=r"no file that ends in \.tar"):
        TarImages(folder)
    with pytest.raises(UsageError, match="no such file"):
        TarImages(tmp_path / "absent.tar")
    (tmp_path / "other").mkdir()
    twin = pack(tmp_path / "other/whole.tar", members)
    with pytest.raises(UsageError, match="two tar files are called whole"):
        TarImages([tmp_path / "whole.tar", twin])


def test_links_in_an_archive_are_not_followed(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "links.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(folder / "cat/02.png", "a.png")
        link = tarfile.TarInfo("b.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert TarImages(path).names == ["links/a.png"]
