from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate.errors import UsageError
from striate.images import ImageArray, ImageCollection, ImageFiles, ImageFolder, ImageList, as_images


@pytest.fixture
def numbered() -> ImageArray:
    """Image i holds i; its label is the letter of i modulo 3."""
    images = ImageArray(np.arange(10, dtype=np.float32)[:, None, None] * np.ones((1, 2, 3), np.float32))
    images.labels = [letter for letter, _ in zip("cabcabcabc", range(10), strict=True)]
    return images


def test_access_like_a_sequence(numbered: ImageArray) -> None:
    assert numbered[3][0, 0, 0] == 3
    assert numbered[-1][0, 0, 0] == 9
    assert numbered[np.int64(2)][0, 0, 0] == 2
    assert [image[0, 0, 0] for image in numbered] == list(range(10))
    for index in (10, -11):
        with pytest.raises(IndexError):
            numbered[index]


def test_classes_are_sorted(numbered: ImageArray) -> None:
    assert numbered.classes == ("a", "b", "c")
    images = numbered.subset(range(4))
    assert images.with_labels([10, 9, 9, 100]).classes == ("9", "10", "100")
    assert images.with_labels(["10", "9", "x", "-1"]).classes == ("-1", "10", "9", "x")
    assert images.with_labels(["1", "01", "2", "1"]).classes == ("01", "1", "2")


def test_subsets(numbered: ImageArray) -> None:
    part = numbered.subset(np.array([7, 2, 2, -1]))
    assert [image[0, 0, 0] for image in part] == [7, 2, 2, 9]
    assert part.names == ["images[7]", "images[2]", "images[2]", "images[9]"]
    assert part.labels == ["a", "b", "b", "c"]
    assert part.size_of(0) == (2, 3, 1)
    assert part.paths is None
    smaller = part.subset([3, 0])
    assert [image[0, 0, 0] for image in smaller] == [9, 7]
    assert smaller.classes == ("a", "c")
    assert len(numbered.subset([])) == 0
    with pytest.raises(IndexError):
        numbered.subset([10])


def test_subsets_of_files_know_their_paths(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.new("L", (9, 8)).save(tmp_path / name)
    folder = as_images(tmp_path)
    assert folder.subset([1]).paths == [tmp_path / "b.png"]
    assert folder.subset([1]).size_of(0) == (8, 9, 1)
    assert folder.subset([1]).read(0, color=True).shape == (3, 8, 9)


def test_labels_of_every_kind(numbered: ImageArray) -> None:
    images = numbered.subset(range(6))
    mixed = images.with_labels([3, "cat", None, np.nan, "", 2.0])
    assert mixed.labels == ["3", "cat", "", "", "", "2"]
    assert mixed.labeled.tolist() == [0, 1, 5]
    assert mixed.classes == ("2", "3", "cat")
    assert images.with_labels(np.array([True, False] * 3)).classes == ("False", "True")
    assert images.with_labels(np.arange(6, dtype=np.uint8)).labels == list("012345")
    assert images.with_labels(None).labels is None
    assert images.labels == list("cabcab")  # unchanged
    assert images.with_labels(None).labeled.dtype == np.int64


def test_wrong_labels(numbered: ImageArray) -> None:
    with pytest.raises(UsageError, match="2 labels for 10 images"):
        as_images(numbered, [1, 2])
    with pytest.raises(UsageError, match=r"label 4 is 0\.5"):
        as_images(numbered, [0, 1, 2, 3, 0.5, 0, 0, 0, 0, 0])
    with pytest.raises(UsageError, match="label 0 is"):
        as_images(numbered, np.zeros((10, 2)))


def test_everything_that_holds_images(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (9, 8)).save(path)
    (tmp_path / "list.csv").write_text("a.png,x\n")
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 4, 4)))
    array = rng.random((3, 4, 5))
    expected: dict[type[ImageCollection], tuple[Any, ...]] = {
        ImageFolder: (tmp_path, str(tmp_path), tmp_path / "list.csv"),
        ImageFiles: (path, str(path), [path], (str(path),), np.array([str(path)]), np.array([path], object)),
        ImageArray: (array, array[..., None], tmp_path / "a.npz"),
        ImageList: (list(array), tuple(array), np.array([array[0], array[1, :2], None], object)[:2]),
    }
    for kind, sources in expected.items():
        for source in sources:
            images = as_images(source)
            assert type(images) is kind
            assert images[0].ndim == 3
            assert as_images(images) is images
            assert as_images(source, ["b"] * len(images)).classes == ("b",)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ([], "empty list"),
        ((), "empty list"),
        ("missing", "no such file or folder"),
        ("missing.csv", "no such"),
        ("missing.npz", "no such file"),
        (3, "images cannot be taken from int"),
        (None, "images cannot be taken from NoneType"),
        ([np.zeros((2, 2)), "a.png"], r"images\[1\]"),
        (np.zeros((5, 784)), r"shape \(5, 784\)"),
    ],
)
def test_what_holds_none(source: object, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as caught:
        as_images(source)
    assert "\n" not in str(caught.value)


def test_files_of_other_kinds(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"anything")
    with pytest.raises(UsageError, match=r"model\.safetensors: is nothing that striate takes images from"):
        as_images(path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(UsageError, match="pipe: is nothing"):
            as_images(tmp_path / "pipe")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name are of POSIX")
@pytest.mark.parametrize("name", ["a.csv", "a.npz", "train-images-idx3-ubyte", "a"])
def test_pipes_are_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(UsageError, match=name):
        as_images(tmp_path / name)


def test_subsets_by_truth_values(numbered: ImageArray) -> None:
    chosen = np.arange(10) % 4 == 1
    assert numbered.subset(chosen).names == numbered.subset([1, 5, 9]).names
    assert numbered.subset(chosen.tolist()).names == numbered.subset([1, 5, 9]).names
    with pytest.raises(UsageError, match="9 truth values for 10 images"):
        numbered.subset(chosen[:9])
    with pytest.raises(UsageError, match="whole numbers"):
        numbered.subset([0.5])  # type: ignore[list-item]


@pytest.mark.parametrize("labels", [5, "0123456789", 1.5, np.array(3)])
def test_labels_are_a_list(numbered: ImageArray, labels: Any) -> None:
    with pytest.raises(UsageError, match="label"):
        as_images(numbered, labels)


def test_labels_that_are_bytes(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 4, 4)), labels=np.array(["Br\u00fccke".encode(), b"b"]))
    assert as_images(tmp_path / "a.npz").labels == ["Br\u00fccke", "b"]


def test_importing_is_cheap() -> None:
    code = (
        "import sys, striate.images\n"
        "heavy = {'scipy', 'sklearn', 'pooch', 'numba', 'matplotlib', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "from striate.images import *\n"
        "from striate.images import stream\n"
        "assert callable(stream)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_a_collection_says_of_itself(tmp_path: Path) -> None:
    digits = np.zeros((1200, 4, 5), np.uint8)
    assert repr(as_images(digits)) == "ImageArray(1,200 images, each 4×5)"
    labeled = as_images(digits[:3], [7, 8, None])
    assert repr(labeled) == "ImageCollection(3 images, 2 classes, 1 without a label)"
    assert repr(labeled.subset([0])) == "ImageCollection(1 image, 1 class)"
    assert repr(as_images([digits[0], digits[1, :2]])) == "ImageList(2 images)"
    assert repr(as_images(np.zeros((1, 3, 4, 5)))) == "ImageArray(1 image, each 4×5×3)"
    for name in ("a/1.png", "a/2.png", "b/1.png", "3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(digits[0]).save(tmp_path / name)
    assert repr(ImageFolder(tmp_path)) == f"ImageFolder(4 images, 2 classes, 1 without a label, in {tmp_path})"
    assert repr(as_images([tmp_path / "3.png"])) == "ImageFiles(1 image)"
