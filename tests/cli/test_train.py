from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate import model_file
from striate.learning import ConvolutionalPSD, TopographicPSD
from striate.recognition import ImageClassifier, image_classifier
from tests.cli.command import striate
from tests.recognition.digits import TINY, digits, write_folder

Capture = pytest.CaptureFixture[str]

# Predicts where neither torch nor a network can be had.
ALONE = """
import socket, sys
def refuse(*arguments, **options):
    raise AssertionError("nothing but striate data get may open a connection")
class NoTorch:
    def find_spec(self, name, *rest):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, NoTorch())
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from striate.cli.main import run
run()
"""

# Saves often, and dies at the n-th time that a file is about to appear, or has just appeared.
KILLED = """
import os, sys
from striate.checkpoint import Checkpoint
Checkpoint.__init__.__kwdefaults__["interval"] = 0.05
countdown, when = int(sys.argv[1]), sys.argv[2]
replace = os.replace
def replace_or_die(*paths):
    global countdown
    countdown -= 1
    if countdown == 0:
        if when == "after":
            replace(*paths)
        os.kill(os.getpid(), 9)
    replace(*paths)
os.replace = replace_or_die
sys.argv = ["striate", *sys.argv[3:]]
from striate.cli.main import run
run()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "images", *digits((0, 1, 7), 20))


def train(capsys: Capture, folder: Path, *options: object, out: str = "model.safetensors") -> dict[str, Any]:
    done = striate(
        capsys, "train", folder, "--out", folder.parent / out, "--learner", "random", "--architecture", TINY,
        "--quiet", "--json", *options,
    )  # fmt: skip
    assert done.code == 0, done.err
    return done.json


def test_train_says_what_it_made(capsys: Capture, folder: Path) -> None:
    result = train(capsys, folder, "--train-per-class", "15")
    assert result["classes"] == 3
    assert (result["n_train"], result["n_test"], result["skipped"]) == (45, 15, [])
    for key in ("accuracy", "mean_class_accuracy"):
        assert float(str(result[key])) > 0.8
    for key in ("seconds", "peak_memory_bytes"):
        assert float(str(result[key])) > 0
    assert Path(str(result["model"])).stat().st_size > 1000
    assert "filters" in Path(str(result["report"])).read_text(encoding="utf-8")
    assert not (folder.parent / "model.checkpoint").exists()


def test_train_learns_by_convolution(capsys: Capture, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_classifier, "_learners", lambda name, n: [ConvolutionalPSD(max_batches=20)] * n)
    result = train(capsys, folder, "--learner", "conv-psd")
    assert float(str(result["accuracy"])) > 0.8
    assert "convolutional PSD" in Path(str(result["report"])).read_text(encoding="utf-8")
    one, again = (ImageClassifier.load(str(result["model"])) for _ in range(2))
    pictures = digits((0, 1, 7), 5)[0]
    np.testing.assert_array_equal(one.predict_proba(pictures), again.predict_proba(pictures))
    assert one.hierarchy_.filter_banks[0].bias is not None


def test_train_pools_over_a_sheet(capsys: Capture, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_classifier, "_learners", lambda name, n: [TopographicPSD(max_batches=20)] * n)
    architecture = "16F5x5 - TORUS4x4:2x2/1 - N5x5 - PA6x6/6"
    result = train(capsys, folder, "--learner", "topographic", "--architecture", architecture)
    assert float(str(result["accuracy"])) > 0.8
    assert "topographic PSD" in Path(str(result["report"])).read_text(encoding="utf-8")
    loaded = ImageClassifier.load(str(result["model"]))
    assert str(loaded.hierarchy_) == architecture
    assert len(loaded.predict(digits((0, 1, 7), 5)[0])) == 15


def test_train_refines_if_it_is_better(capsys: Capture, folder: Path) -> None:
    pytest.importorskip("torch")
    result = train(capsys, folder, "--refine")
    reasons = ImageClassifier.load(str(result["model"])).record_.reasons
    is_used = any(reason.startswith("refined end to end") for reason in reasons)
    assert is_used or any(reason.startswith("not refined") for reason in reasons)
    assert (result["accuracy_before_refinement"] is not None) == is_used
    assert train(capsys, folder)["accuracy_before_refinement"] is None
    given = ("--refine", "--architecture", "SIFT16x16/6 - 9SC - PM1+2+4")
    done = striate(capsys, "train", folder, "--out", folder.parent / "none.safetensors", *given)
    assert done.code == 2
    assert "leave out refine (--refine)" in " ".join(done.err.split())


def test_options_of_train_change_what_is_learned_from(capsys: Capture, folder: Path, tmp_path: Path) -> None:
    more = write_folder(tmp_path / "more", *digits((3,), 10))
    result = train(capsys, folder, "--labels-per-class", "4", "--unlabeled", more, "--unknown", "0.2")
    assert (result["n_train"], result["n_test"], result["n_unlabeled"]) == (12, 12, 36 + 10)
    assert result["false_alarm_rate"] is not None
    test = write_folder(tmp_path / "test", *digits((0, 1, 7), 5, first=100))
    result = train(capsys, folder, "--test", test)
    assert (result["n_train"], result["n_test"]) == (60, 15)


def test_a_csv_and_arrays_train_like_a_folder(capsys: Capture, folder: Path, tmp_path: Path) -> None:
    images, labels = digits((0, 1, 7), 20)
    with (tmp_path / "list.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        writer.writerows([path.relative_to(tmp_path), path.parent.name] for path in sorted(folder.rglob("*.png")))
    np.savez(tmp_path / "arrays.npz", images=images, labels=labels)
    accuracies = {
        str(train(capsys, folder.parent / source, "--seed", "3")["accuracy"])
        for source in ("images", "list.csv", "arrays.npz")
    }
    assert len(accuracies) == 1


def test_predict_evaluate_and_features_agree_with_python(capsys: Capture, folder: Path, tmp_path: Path) -> None:
    model = train(capsys, folder)["model"]
    classifier = ImageClassifier.load(str(model))
    new = write_folder(tmp_path / "new", *digits((0, 1, 7), 4, first=50))
    paths = sorted(new.rglob("*.png"))
    said = striate(capsys, "predict", model, *paths, "--json").json
    for one, expected, path in zip(said, classifier.classify(paths), paths, strict=True):
        assert (one["path"], one["label"]) == (str(path), expected.label)
        assert one["probability"] == pytest.approx(expected.probability, abs=1e-6)
        assert [top["label"] for top in one["top"]] == [label for label, _ in expected.top]
    table = list(csv.DictReader(striate(capsys, "predict", model, new, "--csv").out.splitlines()))
    assert [row["label"] for row in table] == [one["label"] for one in said]
    assert striate(capsys, "evaluate", model, new, "--json", "--quiet").json["accuracy"] == classifier.score(new)
    done = striate(capsys, "features", model, new, "--out", tmp_path / "features.npy", "--json")
    np.testing.assert_allclose(np.load(tmp_path / "features.npy"), classifier.transform(new), atol=1e-5)
    assert done.json["shape"] == list(classifier.transform(new).shape)


def test_a_model_predicts_the_same_without_torch_and_network(capsys: Capture, folder: Path) -> None:
    model = train(capsys, folder)["model"]
    command = ["predict", str(model), str(folder / "7"), "--json"]
    done = subprocess.run([sys.executable, "-c", ALONE, *command], capture_output=True, text=True, check=True)
    for here, there in zip(striate(capsys, *command).json, json.loads(done.stdout), strict=True):
        assert here["label"] == there["label"]
        assert here["probability"] == pytest.approx(there["probability"], abs=1e-6)


def test_a_broken_image_is_listed_and_the_others_are_used(capsys: Capture, folder: Path) -> None:
    (folder / "0" / "broken\n.jpg").write_bytes(b"no image")
    result = train(capsys, folder)
    (skipped,) = result["skipped"]
    assert "broken" in skipped["name"]
    done = striate(capsys, "predict", result["model"], folder / "0")
    assert len(done.out.splitlines()) == 20
    assert "broken\\n.jpg" in done.err


def test_resuming_what_has_finished_says_so(capsys: Capture, folder: Path) -> None:
    first = train(capsys, folder, "--resume")
    assert any("nothing to resume: there is no" in note for note in first["notes"])
    content = Path(first["model"]).read_bytes()
    again = train(capsys, folder, "--resume")
    assert any("had finished" in note for note in again["notes"])
    assert Path(first["model"]).read_bytes() == content
    assert train(capsys, folder)["notes"] == []


def test_filters_are_learned_and_drawn(capsys: Capture, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "filters.png"
    options = ("--n", "8", "--size", "6", "--patches", "500", "--out", out, "--json", "--quiet")
    assert striate(capsys, "filters", folder, *options).json["n_filters"] == 8
    assert np.asarray(Image.open(out)).std() > 10
    assert np.load(out.with_suffix(".npz"))["encoder"].shape == (8, 1, 6, 6)


@pytest.mark.slow
def test_the_demo_learns_digits_from_few_labels(capsys: Capture, tmp_path: Path) -> None:
    result = striate(capsys, "demo", "--out", tmp_path / "demo", "--json", "--quiet").json
    assert result["accuracy"].keys() == result["pixel_accuracy"].keys() == {"100", "1000", "4000"}
    assert all(result["accuracy"][n] > result["pixel_accuracy"][n] for n in result["accuracy"])
    assert Path(result["model"]).exists()
    assert Path(result["report"]).exists()


@pytest.mark.slow
def test_a_run_that_was_killed_twenty_times_ends_with_the_same_bits(folder: Path, tmp_path: Path) -> None:
    arguments = ["--architecture", "8F5x5 - Rabs - N5x5 - PA6x6/6", "--quiet", "--threads", "1"]
    draw = np.random.default_rng(0)

    def run(out: Path, countdown: int, when: str, *options: str) -> int:
        command = ["train", str(folder), "--out", str(out), *arguments, *options]
        return subprocess.run([sys.executable, "-c", KILLED, str(countdown), when, *command], check=False).returncode

    assert run(tmp_path / "whole.safetensors", -1, "never") == 0
    out = tmp_path / "killed.safetensors"
    n_kills = 0
    while n_kills < 20:
        code = run(out, int(draw.integers(1, 7)), str(draw.choice(["before", "after"])), "--resume")
        assert code in (0, -signal.SIGKILL)
        n_kills += code != 0
    assert run(out, -1, "never", "--resume") == 0
    whole, killed = (
        model_file.read(path, kind="image_classifier")[0] for path in (tmp_path / "whole.safetensors", out)
    )
    assert whole.keys() == killed.keys()
    for name in whole:
        np.testing.assert_array_equal(whole[name], killed[name], err_msg=name)


def test_an_interrupt_is_one_line_and_keeps_the_checkpoint(folder: Path, tmp_path: Path) -> None:
    command = ["train", str(folder), "--out", str(tmp_path / "m.safetensors")]
    start = "from striate.cli.main import run; run()"
    with subprocess.Popen([sys.executable, "-c", start, *command], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:  # the filters are next
            if line.startswith("images for the filters"):
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read().splitlines()
    assert process.returncode == 130
    assert rest[-1].startswith("striate: interrupted")
    assert "--resume" in rest[-1]
    assert "Traceback" not in "".join(rest)
    assert os.listdir(tmp_path / "m.checkpoint")
