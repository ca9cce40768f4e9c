"""Names of output files: derived without losing a part of them, told apart, and never somebody else's file."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
from pathlib import Path

import numpy as np
import pytest

from striate.cli._outputs import FIGURE, INDEX, MODEL, PAGE, Output, beside, check_files, format_of
from striate.errors import UsageError
from striate.recognition import ImageClassifier
from tests.cli.command import striate
from tests.recognition.digits import TINY, digits, quick, write_folder

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("name", "ending", "own", "derived"),
    [
        ("m.safetensors", ".html", MODEL, "m.html"),
        ("M.SAFETENSORS", ".html", MODEL, "M.html"),
        ("v1.2", ".html", MODEL, "v1.2.html"),
        ("shots.2024.safetensors", ".checkpoint", MODEL, "shots.2024.checkpoint"),
        ("model.html", ".html", MODEL, "model.html.html"),
        ("a.b.png", ".npz", FIGURE, "a.b.npz"),
        (".hidden", ".html", MODEL, ".hidden.html"),
        (".safetensors", ".html", MODEL, ".safetensors.html"),
        ("f.v1", ".json", (".npy",), "f.v1.json"),
        ("dots. and spaces .", ".html", MODEL, "dots. and spaces ..html"),
    ],
)
def test_derived_names_lose_nothing_but_an_ending_of_their_kind(
    name: str, ending: str, own: tuple[str, ...], derived: str
) -> None:
    assert beside(Path("folder.d") / name, ending, own) == Path("folder.d") / derived


def test_different_names_give_different_derived_names() -> None:
    names = ["v1.2", "v1.3", "v1", "v1.", "v1.2.3", "shots.2023.safetensors", "shots.2024.safetensors", "m.html"]
    assert len({beside(Path(name), ".html", MODEL) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("name", "wanted", "result"),
    [
        ("f.csv", None, "csv"),
        ("f.CSV", None, "csv"),
        ("f.v1.json", None, "json"),
        ("f.v1", None, "npy"),
        ("features.2024", None, "npy"),
        ("f", None, "npy"),
        ("f.npy", "csv", "csv"),
        ("f.txt", "csv", "csv"),
        ("f.txt", None, None),
        ("f.parquet", None, None),
        ("f.npy", "xml", None),
    ],
)
def test_the_format_follows_the_name_or_the_option(name: str, wanted: str | None, result: str | None) -> None:
    def found() -> str:
        return format_of(Path(name), wanted, ("npy", "csv", "json"), default="npy", what="features")

    if result is None:
        with pytest.raises(UsageError, match="npy, csv, json"):
            found()
    else:
        assert found() == result


def refuse(word: str, *outputs: Output, inputs: tuple[Path | None, ...] = ()) -> None:
    with pytest.raises(UsageError, match=word) as caught:
        check_files(*outputs, inputs=inputs)
    assert "\n" not in str(caught.value)


def test_only_regular_and_new_files_are_written(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "target").write_bytes(b"precious")
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tmp_path / "socket"))
    refuse("a pipe", Output("--out", tmp_path / "pipe"))
    refuse("a socket", Output("--out", tmp_path / "socket"))
    refuse("is a link to target", Output("--out", tmp_path / "link"))
    refuse("is a link to nowhere", Output("--out", tmp_path / "dangling"))
    refuse("loop: too many", Output("--out", tmp_path / "loop"))
    refuse("is a folder", Output("--out", tmp_path))
    refuse("is a folder", Output("--out", Path("")))
    refuse("is a folder", Output("--out", Path("..")))
    refuse("standard output", Output("--out", Path("-")))
    refuse("no folder", Output("--out", tmp_path / "none" / "m"))
    refuse("no folder", Output("--out", tmp_path / "target" / "m"))
    refuse("name too long", Output("--out", tmp_path / ("n" * 256)))
    refuse("name too long", Output("--report", beside(tmp_path / ("n" * 254), ".html", MODEL)))
    refuse("is a file, where", Output("the checkpoint", tmp_path / "target", folder=True))
    refuse("a pipe: give a file", inputs=(tmp_path / "pipe",))
    refuse("cannot be written", Output("--out", Path("/proc/model")))
    names = sorted(os.listdir(tmp_path))
    check_files(Output("--out", tmp_path / "target"), Output("--report", tmp_path / "new"), inputs=(None, tmp_path))
    assert sorted(os.listdir(tmp_path)) == names
    assert (tmp_path / "target").read_bytes() == b"precious"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root makes device nodes")
def test_a_device_stays_a_device(tmp_path: Path) -> None:
    node = tmp_path / "null"
    try:
        os.mknod(node, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("device nodes are not permitted here")
    refuse("a device", Output("--out", node))
    refuse("a device", inputs=(node,))


def test_no_two_files_are_one(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "images.csv").write_text("x")
    (tmp_path / "elsewhere").symlink_to("a")
    os.link(tmp_path / "images.csv", tmp_path / "twin")
    model = Output("--out", tmp_path / "a" / "m", MODEL)
    refuse("one file", model, Output("--report", tmp_path / "a" / ".." / "a" / "m", PAGE))
    refuse("one file", model, Output("--report", tmp_path / "elsewhere" / "m", PAGE))
    refuse("would replace", Output("--out", tmp_path / "images.csv"), inputs=(tmp_path / "images.csv",))
    refuse("would replace", Output("--out", tmp_path / "twin"), inputs=(tmp_path / "images.csv",))
    checkpoint = Output("the checkpoint", tmp_path / "a", folder=True)
    refuse("lies in the checkpoint", Output("--report", tmp_path / "a" / "r.html", PAGE), checkpoint)
    refuse("lies in", checkpoint, inputs=(tmp_path / "a" / "images",))
    check_files(model, Output("--report", tmp_path / "a" / "m.html", PAGE), inputs=(tmp_path / "images.csv",))


@pytest.mark.parametrize("ending", [".png", ".JPG", ".csv", ".npz", ".html", ".json"])
def test_a_model_does_not_bear_the_ending_of_something_else(tmp_path: Path, ending: str) -> None:
    refuse("another kind", Output("--out", tmp_path / f"m{ending}", MODEL))
    for name in ("m", "m.safetensors", "m.v1", "m.model"):
        check_files(Output("--out", tmp_path / name, MODEL))
    check_files(Output("--out", tmp_path / "p.index", INDEX))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    images, labels = digits((0, 1), 6)
    quick().fit(images, labels).save(tmp_path / "v1.2")
    return tmp_path / "v1.2"


def test_two_folders_with_dots_train_two_models(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ("--learner", "random", "--architecture", TINY, "--quiet")
    for year, first in ((2023, 0), (2024, 50)):
        write_folder(tmp_path / f"shots.{year}", *digits((0, 1), 10, first=first))
        assert striate(capsys, "train", f"shots.{year}", *options).code == 0
        assert striate(capsys, "train", f"shots.{year}", *options, "--out", f"v.{year}").code == 0
    found = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert found == {
        *(f"shots.{year}{ending}" for year in (2023, 2024) for ending in (".safetensors", ".html")),
        *(f"v.{year}{ending}" for year in (2023, 2024) for ending in ("", ".html")),
    }
    for refused in (("--out", "m", "--report", "m"), ("--out", "x.png"), ("--report", "shots.2023"), ("--out", "")):
        done = striate(capsys, "train", "shots.2023", *options, *refused)
        assert (done.code, len(done.err.splitlines())) == (2, 1), done.err
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == found


def test_features_are_written_as_the_name_says(
    capsys: Capture, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_folder(tmp_path / "images", *digits((0, 1), 3))
    broken = os.fsencode(folder / "0") + b"/caf\xe9.png"
    Path(os.fsdecode(broken)).write_bytes((folder / "0" / "0001.png").read_bytes())
    expected = ImageClassifier.load(model).transform(folder)
    names = [str(folder / name) for name in sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))]

    def features(*options: str) -> str:
        done = striate(capsys, "features", model, folder, *options)
        assert done.code == 0, done.err
        return done.out

    for out in ("f.v1", "f.v2", "f.npy"):
        features("--out", out)
        np.testing.assert_allclose(np.load(out), expected, atol=1e-5)
        assert json.loads(beside(Path(out), ".json", (".npy",)).read_bytes()) == names
    exact = np.load("f.npy")
    features("--out", "g.json")
    rows = json.loads(Path("g.json").read_bytes())
    assert [row["path"] for row in rows] == names
    np.testing.assert_array_equal(np.array([row["features"] for row in rows], np.float32), exact)
    features("--out", "g.csv")
    header, *lines = Path("g.csv").read_text(encoding="utf-8").splitlines()
    assert header.startswith("path,0,1,")
    np.testing.assert_array_equal(np.array([line.split(",")[1:] for line in lines], np.float32), exact)
    assert r"caf\udce9.png" in "".join(lines)
    assert features("--out", "-", "--format", "csv").splitlines() == [header, *lines]
    for wrong in (("--out", "f.txt"), ("--out", "-"), ("--out", "-", "--format", "npy"), ("--out", model)):
        done = striate(capsys, "features", model, folder, *wrong)
        assert (done.code, len(done.err.splitlines()), done.out) == (2, 1, ""), done.err
    assert ImageClassifier.load(model)


def test_codes_do_not_replace_their_signals(
    capsys: Capture, tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    signals = rng.standard_normal((60, 5)).astype(np.float32)
    np.save("s.npy", signals)
    np.save("s.dictionary.npy", signals[:8])
    for arguments in (("s.npy", "--out", "s.npy"), ("s.dictionary.npy", "--out", "s.npz")):
        done = striate(capsys, "code", *arguments, "--n", 4, "--batches", 2, "-q")
        assert (done.code, "would replace" in done.err) == (2, True), done.err
    np.testing.assert_array_equal(np.load("s.npy"), signals)
    # The dictionary of an earlier run is used, and stays where it is.
    done = striate(capsys, "code", "s.npy", "--dictionary", "s.dictionary.npy", "--out", "s.npz", "--json", "-q")
    assert done.code == 0, done.err
    assert done.json["dictionary"] == "s.dictionary.npy"
    np.testing.assert_array_equal(np.load("s.dictionary.npy"), signals[:8])


def test_of_two_files_both_appear_or_neither(
    capsys: Capture, tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    images = write_folder(tmp_path / "images", *digits((0, 1), 4))
    np.save(tmp_path / "signals.npy", rng.normal(size=(60, 8)))
    filters = ("filters", images, "--n", 4, "--size", 5, "--patches", 60, "--learner", "random", "-q", "--out")
    code = ("code", tmp_path / "signals.npy", "--n", 4, "--batches", 2, "-q", "--out")
    out = tmp_path / "out"
    out.mkdir()
    for failing, command, names in (
        ("numpy.savez_compressed", (*filters, out / "f.png"), ["f.npz", "f.png"]),
        ("striate.coding.code_file.write_codes", (*code, out / "c.npz"), ["c.dictionary.npy", "c.npz"]),
        ("numpy.save", (*code, out / "d.npz"), ["d.dictionary.npy", "d.npz"]),
    ):
        before = sorted(os.listdir(out))
        with monkeypatch.context() as patch:
            patch.setattr(failing, full)
            done = striate(capsys, *command)
        assert (done.code, len(done.err.splitlines())) == (1, 1), done.err
        assert "no space" in done.err.lower()
        assert sorted(os.listdir(out)) == before
        assert striate(capsys, *command).code == 0
        assert sorted(os.listdir(out)) == sorted([*before, *names])
