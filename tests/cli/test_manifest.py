"""`striate manifest`, and that commands take what it writes in place of the folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.cli._images import images_in, named_images
from striate.cli._left_out import LeftOut
from striate.errors import UsageError
from striate.images import ImageFolder, ManifestImages
from tests.cli.command import striate


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    for name in ("a/1.png", "a/2.png", "b/1.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(tmp_path / "images" / name)
    return tmp_path / "images"


def test_a_manifest_stands_for_the_folder(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    done = striate(capsys, "manifest", folder, "--json", "-q")
    assert done.code == 0, done.err
    path = folder.parent / "images.manifest.csv"
    assert done.json == {"manifest": str(path), "n_images": 3}
    expected = ImageFolder(folder)
    for found in (images_in(path), named_images([path], LeftOut())):
        assert isinstance(found, ManifestImages)
        assert found.labels == expected.labels
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)
    with pytest.raises(UsageError, match="give it alone"):
        named_images([path, folder], LeftOut())
    elsewhere = folder / "own.manifest.csv"
    done = striate(capsys, "manifest", folder, "--out", elsewhere)
    assert done.code == 0, done.err
    assert done.out == f"{elsewhere}: 3 images\n"


def test_what_cannot_be_listed(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    done = striate(capsys, "manifest", folder, "--out", folder.parent / "list.csv", "-q")
    assert done.code == 2
    assert "ends in .manifest.csv" in done.err
    done = striate(capsys, "manifest", folder / "nowhere", "-q")
    assert done.code == 2
    assert "no such folder" in done.err
