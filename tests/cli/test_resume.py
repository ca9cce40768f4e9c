"""``striate train --resume``: whatever happened to the files of a checkpoint, the model has the same bytes."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from striate.recognition import ImageClassifier, training
from tests.cli.command import striate
from tests.recognition.digits import digits, write_folder

Capture = pytest.CaptureFixture[str]

OPTIONS = ("--architecture", "6F5x5 - Rabs - PA6x6/6", "--quiet")


def train(capsys: Capture, folder: Path, out: Path, *options: object) -> None:
    done = striate(capsys, "train", folder, "--out", out, *OPTIONS, *options)
    assert done.code == 0, done.err


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def damaged(content: bytes) -> dict[str, bytes | None]:
    flips = {}
    for part in range(3):
        flipped = bytearray(content)
        flipped[(2 * part + 1) * len(content) // 6] ^= 64
        flips[f"flip {part}"] = bytes(flipped)
    return {
        "gone": None, "empty": b"", "cut": content[:-9], "half": content[: len(content) // 2],
        "garbage": np.random.default_rng(0).bytes(3000), "zeros": bytes(len(content)), **flips,
    }  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("resume") / "images", *digits((0, 1, 7), 20))


@pytest.mark.parametrize("learner", ["random", pytest.param("psd", marks=pytest.mark.slow)])
def test_a_damaged_checkpoint_gives_the_same_model(
    capsys: Capture, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, learner: str
) -> None:
    monkeypatch.setattr(training, "_add_curves", lambda *_: None)  # most of the time, and no part of the model
    out = tmp_path / "m.safetensors"
    train(capsys, folder, out, "--learner", learner)
    whole = out.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(ImageClassifier, "fit_classifier", interrupt)
        done = striate(capsys, "train", folder, "--out", out, *OPTIONS, "--learner", learner)
        assert done.code != 0
    checkpoint = tmp_path / "m.checkpoint"
    kept = shutil.copytree(checkpoint, tmp_path / "kept")
    names = sorted(path.name for path in kept.iterdir())
    assert len(names) == (6 if learner == "random" else 7), names  # fingerprint, lock, stage, twice rows and progress
    for number, name in enumerate(names):
        damages = damaged((kept / name).read_bytes() or b"some")
        for damage in list(damages) if learner == "random" else list(damages)[number % 3 :: 4]:
            shutil.rmtree(checkpoint, ignore_errors=True)
            shutil.copytree(kept, checkpoint)
            (checkpoint / name).unlink()
            content = damages[damage]
            if content is not None:
                (checkpoint / name).write_bytes(content)
            out.unlink()
            train(capsys, folder, out, "--resume", "--learner", learner)
            assert out.read_bytes() == whole, f"{name}: {damage}"
            assert not checkpoint.exists()


LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from striate.cli.main import run
run()
"""


def test_a_full_disk_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    images = write_folder(tmp_path / "images", *digits((0, 1, 7), 60))
    command = [
        "train", str(images), "--out", str(tmp_path / "m.safetensors"), "--learner", "random", "--architecture",
        "32F5x5 - Rabs - PA6x6/3", "--quiet",
    ]  # fmt: skip
    done = subprocess.run([sys.executable, "-c", LIMITED, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert "features-of-training-images.npy: File too large; it takes" in line
    assert not (tmp_path / "m.safetensors").exists()


def test_a_second_run_is_told_of_the_first(capsys: Capture, folder: Path, tmp_path: Path) -> None:
    from striate.checkpoint import Checkpoint

    hold = "import sys, time; from striate.checkpoint import Checkpoint; c = Checkpoint(sys.argv[1], {})\n"
    hold += "print('ready', flush=True); time.sleep(100)"
    place = tmp_path / "m.checkpoint"
    with subprocess.Popen([sys.executable, "-c", hold, str(place)], stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        first.stdout.readline()
        for options in ([], ["--resume"]):
            done = striate(capsys, "train", folder, "--out", tmp_path / "m.safetensors", "--quiet", *options)
            assert done.code == 2
            assert f"another run is using {place}" in done.err
        first.kill()
    assert Checkpoint(place, {}).load("x") is None


STOPPED = """
import os, signal, sys
from striate.recognition import ImageClassifier
number = getattr(signal, sys.argv.pop(1))
ImageClassifier.fit_classifier = lambda *_, **__: os.kill(os.getpid(), number)
from striate.cli.main import run
run()
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_run_that_is_stopped_politely_can_be_resumed(
    capsys: Capture, folder: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "m.safetensors"
    command = ["train", str(folder), "--out", str(out), *OPTIONS, "--learner", "random"]
    done = subprocess.run([sys.executable, "-c", STOPPED, name, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 128 + getattr(signal, name), done.stderr
    (line,) = done.stderr.splitlines()
    assert "add --resume" in line
    assert (tmp_path / "m.checkpoint").is_dir()
    assert not out.exists()
