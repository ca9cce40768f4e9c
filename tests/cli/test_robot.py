"""`striate robot`: a rendered drive from folder to report, and drives with something wrong."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate.robot import EXTRACTORS, StereoSequence, replay
from tests.cli.command import striate
from tests.robot.drives import drive, frames_of, write_drive
from tests.robot.scenes import CAMERA

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drive(tmp_path_factory.mktemp("robot") / "drive", drive()[:4])


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "drive"))


def test_a_drive(capsys: Capture, copy: Path) -> None:
    """A camera that fails on the way is named, and adds nothing."""
    Image.new("L", CAMERA.size[::-1]).save(copy / "right" / "000002.png")
    out = copy.parent / "out"
    done = striate(capsys, "robot", copy, "--out", out, "--extractor", "random", "--json", "-q")
    assert done.code == 0, done.err
    assert done.err == ""
    result = done.json
    assert result["n_frames"] == 4
    assert list(result["seconds_per_frame"]) == ["reading", "stereo", "bands", "features", "learning", "map"]
    assert result["frames_per_second"] == pytest.approx(1 / sum(result["seconds_per_frame"].values()))
    assert [(one["nearest"], one["farthest"]) for one in result["by_range"]] == [(0, 12), (12, 20), (20, 35), (35, 60)]
    assert result["by_range"][0]["n_windows"] > 100
    (problem,) = result["problems"]
    assert problem == {"frame": "000002", "why": "The right image is black: the camera is dead or covered."}
    assert {path.name for path in out.iterdir()} == {"drive.gif", "report.html", "summary.json", "maps"}
    assert json.loads((out / "summary.json").read_text()) == {
        name: value for name, value in result.items() if name != "seconds"
    }
    with Image.open(out / "drive.gif") as clip:
        assert frames_of(clip) == 4
    page = (out / "report.html").read_text()
    assert "000002" in page
    assert "12–20 m" in page
    assert "data:image/gif;base64," in page
    with np.load(out / "maps" / "000000.npz") as found:
        # In the first frame nothing was learned: the map is stereo's.
        expected = next(replay(StereoSequence(copy))).costs
        np.testing.assert_array_equal(found["cost"], expected.cost)
        np.testing.assert_array_equal(found["pose"], expected.pose)
        assert float(found["cell"]) == expected.cell
    again = striate(capsys, "robot", copy, "--out", out, "--frames", 1, "-q")
    assert again.code == 0, again.err
    assert "not both obstacles and ground (0 windows)" in again.out


def test_a_drive_on_a_page(folder: Path, tmp_path: Path) -> None:
    """The page shows the frames while they are seen, to whoever has the token."""
    pytest.importorskip("fastapi")
    command = [sys.executable, "-m", "striate", "robot", str(folder), "--extractor", "random", "--json", "-q"]
    options = ["--live", "--port", "0", "--no-browser", "--out", str(tmp_path / "out")]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    address = process.stderr.readline().strip()
    place, token = address.split("/?")
    states: dict[int, dict[str, Any]] = {}
    picture = b""
    try:
        page = read(address)
        with pytest.raises(urllib.error.HTTPError, match="403"):
            read(f"{place}/state?token=wrong")
        while process.poll() is None:
            try:
                state = json.loads(read(f"{place}/state?{token}"))
                states[state["number"]] = state
                if state["number"]:
                    picture = read(f"{place}/frame.png?{token}")
            except OSError:  # it has ended
                break
    finally:
        out, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    assert json.loads(out)["n_frames"] == 4
    assert b"<h1>A robot learns while it drives</h1>" in page
    assert states[0] == {"number": 0}
    last = states[max(states)]
    assert (last["n_frames"], last["problems"]) == (4, [])
    assert last["frame"] == max(states)
    with Image.open(io.BytesIO(picture)) as drawn:
        assert drawn.size == (CAMERA.size[1] + CAMERA.size[0], CAMERA.size[0])


def read(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=30) as answer:
        content: bytes = answer.read()
    return content


def test_labels_that_features_know_are_not_tested(capsys: Capture, folder: Path, tmp_path: Path) -> None:
    options = ("--extractor", "supervised", "--frames", 2, "--json", "-q", "--out", tmp_path / "out")
    done = striate(capsys, "robot", folder, *options)
    assert done.code == 0, done.err
    # Learned from frame 0; in frame 1, the last one, nothing far is known.
    assert sum(one["n_windows"] for one in done.json["by_range"][1:]) == 0


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("no folder", "has no images in left/"),
        ("no calib", "calib.txt"),
        ("no right", "none of the 4 frames shows where the ground is"),
        ("dead", "the left image is black: the camera is dead or covered"),
        ("extractor", "--extractor"),
        ("out", "is a file, where --out goes"),
        ("inside", "left"),
    ],
)
def test_what_is_wrong_is_one_sentence(capsys: Capture, copy: Path, damage: str, message: str) -> None:
    options: list[object] = ["--out", copy.parent / "out"]
    match damage:
        case "no folder":
            shutil.rmtree(copy)
        case "no calib":
            (copy / "calib.txt").unlink()
        case "no right":
            shutil.rmtree(copy / "right")
        case "dead":
            for path in (copy / "left").iterdir():
                Image.new("L", CAMERA.size[::-1]).save(path)
        case "extractor":
            options += ["--extractor", "magic"]
        case "out":
            options = ["--out", copy / "calib.txt"]
        case "inside":
            options = ["--out", copy / "left" / "000000.png"]
    before = sorted(copy.rglob("*"))
    done = striate(capsys, "robot", copy, *options, "-q")
    assert done.code == 2
    assert done.out == ""
    assert message in done.err
    assert done.err.count("\n") == 1
    assert sorted(copy.rglob("*")) == before


def test_every_extractor_can_be_chosen() -> None:
    from striate.cli.robot import Extractor

    assert {kind.value for kind in Extractor} == set(EXTRACTORS)


def test_without_the_extra(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'cv2': raise ModuleNotFoundError(f'No module named {name}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from striate.cli.main import run\n"
        f"sys.argv = ['striate', 'robot', {json.dumps(str(tmp_path))}]\n"
        "run()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 2
    assert (
        done.stderr == "striate: striate robot needs OpenCV, which is not installed: pip install striate[baselines]\n"
    )
