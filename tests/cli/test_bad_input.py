from __future__ import annotations

import errno
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate import model_file
from tests.cli.command import Done, striate
from tests.recognition.digits import TINY, digits, quick, write_folder

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "images", *digits((0, 1), 10))


def train(capsys: Capture, source: Path, *options: object) -> Done:
    out = source.parent / "model.safetensors"
    done = striate(
        capsys, "train", source, "--out", out, "--learner", "random", "--architecture", TINY, "--quiet", *options
    )
    assert not (done.code and out.exists())
    return done


def refused(done: Done, code: int, *words: str) -> None:
    """One sentence with these words, and nothing else."""
    assert done.code == code, done.err
    (line,) = done.err.splitlines()
    assert line.startswith("striate: ")
    assert "defect" not in line
    for word in words:
        assert word in line
    assert done.out == ""


def bomb() -> bytes:
    """A PNG whose header claims 60,000 × 60,000 pixels."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(header)) + chunk + struct.pack(">I", zlib.crc32(chunk))


def test_a_folder_that_is_missing_or_empty(capsys: Capture, tmp_path: Path) -> None:
    refused(train(capsys, tmp_path / "nowhere"), 2, "nowhere")
    (tmp_path / "empty").mkdir()
    refused(train(capsys, tmp_path / "empty"), 2, "empty")


def test_too_few_classes_or_images(capsys: Capture, tmp_path: Path) -> None:
    refused(train(capsys, write_folder(tmp_path / "one", *digits((4,), 5))), 2, "one class")
    lonely = write_folder(tmp_path / "lonely", *digits((0, 1), 5))
    Image.new("L", (28, 28)).save(write_folder(lonely, *digits((2,), 1)) / "2" / "0000.png")
    refused(train(capsys, lonely), 2, "'2'", "one")


def test_a_class_without_a_readable_image(capsys: Capture, folder: Path) -> None:
    (folder / "broken").mkdir()
    for number in range(5):
        (folder / "broken" / f"{number}.png").write_bytes(b"this is text")
    done = train(capsys, folder)
    assert done.code == 0, done.err
    assert "class broken: none of its 4 training images can be read; the model does not know it" in done.out
    assert "skipped 5 images" in done.out
    for path in (folder / "1").iterdir():
        path.write_bytes(b"this is text")
    (folder.parent / "model.safetensors").unlink()
    refused(train(capsys, folder), 2, "none of its", "at least two classes")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--unknown", "0"), ("unknown", "0")),
        (("--unknown", "1.5"), ("unknown", "1.5")),
        (("--unknown", "nan"), ("unknown", "nan")),
        (("--train-per-class", "1000"), ("1000",)),
        (("--labels-per-class", "1000"), ("1000",)),
        (("--architecture", "64F9x9 - Rats"), ("Rats",)),
        (("--architecture", "64F99x99"), ("99",)),
        (("--learner", "magic"), ("magic",)),
        (("--out", "/proc/nowhere/model.safetensors"), ("/proc/nowhere",)),
    ],
)
def test_options_that_cannot_be(
    capsys: Capture, folder: Path, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    refused(train(capsys, folder, *options), 2, *words)


@pytest.mark.parametrize(
    "content",
    [b"", b"this is text", bomb(), b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"],
    ids=["zero bytes", "text", "bomb", "cut off"],
)
def test_images_that_are_none_are_listed_or_end_the_work(capsys: Capture, folder: Path, content: bytes) -> None:
    (folder / "0" / "schöne 写真\n.png").write_bytes(content)
    done = train(capsys, folder, "--json")
    assert done.code == 0
    (skipped,) = done.json["skipped"]
    assert "写真" in skipped["name"]
    for number in range(40):
        (folder / "1" / f"x{number}.png").write_bytes(content)
    (folder.parent / "model.safetensors").unlink()
    refused(train(capsys, folder), 1, "half")


def test_a_link_that_loops_is_passed_over(capsys: Capture, folder: Path) -> None:
    (folder / "0" / "loop").symlink_to(folder)
    (folder / "1" / "self.png").symlink_to(folder / "1" / "self.png")
    assert train(capsys, folder).code == 0


def test_arrays_with_nan(capsys: Capture, tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((20, 28, 28))
    images[::2] = np.nan
    np.savez(tmp_path / "a.npz", images=images[:10], labels=[0, 1] * 5)
    refused(train(capsys, tmp_path / "a.npz"), 2, "a.npz", "not finite")


def test_a_full_disk(capsys: Capture, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    refused(train(capsys, folder), 1, "No space left")
    assert not list(folder.parent.glob("*.safetensors*"))


def test_model_files_that_are_none(capsys: Capture, tmp_path: Path) -> None:
    images, labels = digits((0, 1), 6)
    model = tmp_path / "m.safetensors"
    quick().fit(images, labels).save(model)
    whole = model.read_bytes()
    Image.fromarray(images[0]).save(tmp_path / "a.png")

    def predict() -> Done:
        return striate(capsys, "predict", model, tmp_path / "a.png")

    assert predict().code == 0
    for length in np.linspace(0, len(whole) - 1, 12).astype(int):
        model.write_bytes(whole[:length])
        refused(predict(), 1, "m.safetensors")
    for place in np.linspace(9, len(whole) - 1, 12).astype(int):
        model.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        refused(predict(), 1, "m.safetensors")
    model.write_bytes(struct.pack("<Q", 10 << 30) + whole[8:])
    refused(predict(), 1, "m.safetensors")
    model_file.write(model, {"a": np.zeros(3)}, {}, kind="dictionary")
    refused(predict(), 1, "a dictionary", "an image classifier")
    refused(striate(capsys, "predict", tmp_path / "none.safetensors", tmp_path / "a.png"), 2, "none.safetensors")


def test_predicting_images_that_are_missing(capsys: Capture, tmp_path: Path) -> None:
    images, labels = digits((0, 1), 6)
    quick().fit(images, labels).save(tmp_path / "m.safetensors")
    refused(striate(capsys, "predict", tmp_path / "m.safetensors", tmp_path / "no.png"), 2, "no.png")


def test_values_that_no_command_can_take(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for arguments, word in (
        (("filters", tmp_path, "--n", "9" * 20), "--n"),
        (("filters", tmp_path, "--patches", "9" * 20), "--patches"),
        (("filters", tmp_path, "--sparsity", "nan"), "--sparsity"),
        (("data", "get", "mnist", "--timeout", "inf"), "--timeout"),
        (("data", "get", "mnist", "--mirror", "http://["), "no web address"),
        (("data", "get", "mnist", "--mirror", "http://"), "no web address"),
        (("data", "get", "mnist", "--mirror", "https://host:port/"), "no web address"),
        (("demo", "--out", tmp_path / "file"), "cannot be made a folder"),
        (("demo", "--out", tmp_path / "file" / "inner"), "cannot be made a folder"),
        (("train", "n" * 300), "name too long"),
        (("predict", "n" * 300, "x.png"), "name too long"),
        (("evaluate", tmp_path, "n" * 300), "name too long"),
        (("search", "n" * 300, "x.png"), "name too long"),
    ):
        refused(striate(capsys, *arguments), 2, word)
