from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate import model_file
from striate.distribute import n_workers
from striate.file_lock import hold
from striate.retrieval import DeepProjection, ImageIndex
from tests.cli.command import Done, striate
from tests.cli.test_bad_input import refused
from tests.recognition.digits import digits, write_folder
from tests.report.page import Outline
from tests.retrieval.small import encoder

Capture = pytest.CaptureFixture[str]
SMALL = ("--architecture", "4F5x5 - Rabs - PA6x6/6", "--bits", "32", "--quiet")

# Dies at the second time that the index is about to appear.
KILLED = """
import os, sys
from striate.retrieval import image_index
sys.modules["striate.images.stream"].BATCH, image_index._SAVING_SHARE = 8, 0
image_index.ImageIndex.update.__kwdefaults__["interval"] = 0.0
countdown, replace = int(sys.argv.pop(1)), os.replace
def replace_or_die(*paths):
    global countdown
    countdown -= 1
    if countdown == 0:
        os.kill(os.getpid(), 9)
    replace(*paths)
os.replace = replace_or_die
from striate.cli.main import run
run()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "images", *digits((0, 1, 7), 10))


@pytest.fixture
def index(folder: Path, tmp_path: Path) -> Path:
    """Of the folder, by an encoder that needs no learning."""
    made = ImageIndex(encoder(), str(folder.resolve()))
    made.update(folder, save_to=tmp_path / "photos.index")
    return tmp_path / "photos.index"


def test_workers_write_the_same_index(capsys: Capture, folder: Path, index: Path, tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    (tmp_path / "two").mkdir()
    alone, two = tmp_path / "alone/photos.index", tmp_path / "two/photos.index"
    assert striate(capsys, "index", folder, "--out", alone, *SMALL).code == 0
    assert striate(capsys, "index", folder, "--out", two, "--workers", 2, *SMALL).code == 0
    assert two.read_bytes() == alone.read_bytes()
    assert n_workers() == 1  # they end with the command


def test_shards_with_one_encoder_are_searched_as_one(capsys: Capture, tmp_path: Path) -> None:
    images, labels = digits((0, 1, 7), 10)
    for part in (0, 1):
        write_folder(tmp_path / f"part{part}", images[part::2], labels[part::2])
    (tmp_path / "shards").mkdir()
    first, second = tmp_path / "shards/0.index", tmp_path / "shards/1.index"
    assert striate(capsys, "index", tmp_path / "part0", "--out", first, *SMALL).code == 0
    of_first = ("--out", second, "--like", first)
    assert striate(capsys, "index", tmp_path / "part1", *of_first, "--bits", 32).code == 2
    assert striate(capsys, "index", tmp_path / "part1", *of_first, "--quiet").code == 0
    query = next((tmp_path / "part1").rglob("*.png"))
    done = striate(capsys, "search", tmp_path / "shards", query, "--top", 30, "--json")
    (found,) = done.json
    assert len(found["neighbors"]) == 30
    assert (found["neighbors"][0]["path"], found["neighbors"][0]["distance"]) == (str(query), 0)
    assert {Path(one["path"]).parents[1].name for one in found["neighbors"]} == {"part0", "part1"}
    query.rename(tmp_path / "gone.png")
    done = striate(capsys, "search", tmp_path / "shards", tmp_path / "gone.png", "--top", 1)
    assert "striate index for each of its files" in done.err


def test_a_cluster_without_dask_names_the_extra(
    capsys: Capture, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    done = striate(capsys, "index", folder, "--out", tmp_path / "photos.index", "--dask", "tcp://127.0.0.1:9", *SMALL)
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert "striate[cluster]" in done.err


def test_codes_of_a_deep_autoencoder(capsys: Capture, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "photos.index"
    done = striate(capsys, "index", folder, "--out", out, "--encoder", "deep-autoencoder", *SMALL)
    assert done.code == 0, done.err
    assert isinstance(ImageIndex.load(out).encoder.projection, DeepProjection)
    (found,) = striate(capsys, "search", out, folder / "1" / "0013.png", "--top", "1", "--json").json
    assert found["neighbors"][0]["distance"] == 0
    refused(striate(capsys, "index", folder, "--out", out, "--encoder", "itq"), 2, "deep-autoencoder", "--out")


def test_a_folder_is_indexed_and_followed(capsys: Capture, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "photos.index"

    def run(*options: object) -> Done:
        return striate(capsys, "index", folder, "--out", out, "--json", "--quiet", *options)

    first = run(*SMALL)
    assert first.code == 0, first.err
    assert (first.json["images"], first.json["added"], first.json["bits"]) == (30, 30, 32)
    (folder / "0" / "0000.png").unlink()
    (folder / "0" / "broken.png").write_bytes(b"text")
    Image.fromarray(digits((3,), 1)[0][0]).save(folder / "three.png")
    second = run().json
    assert [second[key] for key in ("added", "changed", "removed", "unchanged")] == [1, 0, 1, 29]
    assert [one["name"] for one in second["skipped"]] == ["0/broken.png"]
    refused(run("--bits", "64"), 2, "32 bits", "--out")


def test_search_finds_the_image_itself_and_its_kind(capsys: Capture, folder: Path, index: Path) -> None:
    done = striate(
        capsys, "search", index, folder / "1" / "0013.png", folder / "7" / "0020.png", "--top", "4", "--json"
    )
    assert done.code == 0, done.err
    for one, name in zip(done.json, ("1/0013.png", "7/0020.png"), strict=True):
        assert len(one["neighbors"]) == 4
        assert one["neighbors"][0]["distance"] == 0
        assert name in [near["name"] for near in one["neighbors"] if near["distance"] == 0]
        assert Path(one["neighbors"][0]["path"]).exists()
    text = striate(capsys, "search", index, folder / "1" / "0013.png", "--top", "100").out
    assert len(text.splitlines()) == 31  # no more than there are


def test_copies_are_grouped(capsys: Capture, folder: Path, index: Path) -> None:
    images = digits((0,), 10)[0]
    Image.fromarray(images[2]).resize((56, 56), Image.Resampling.BICUBIC).save(folder / "larger.png")
    shutil.copy(folder / "0" / "0002.png", folder / "copy.png")
    ImageIndex.load(index).update(folder, save_to=index)
    done = striate(capsys, "duplicates", index, "--json", "--quiet")
    assert done.code == 0, done.err
    (group,) = [group for group in done.json["groups"] if any(one["name"] == "copy.png" for one in group)]
    names = [one["name"] for one in group]
    assert {"copy.png", "larger.png", "0/0002.png"} <= set(names)
    assert names[0] == "larger.png"
    assert "groups of near-duplicates" in striate(capsys, "duplicates", index, "--quiet").out
    exact = striate(capsys, "duplicates", index, "--correlation", "1", "--threshold", "0", "--json", "--quiet").json
    assert ["0/0002.png", "copy.png"] in [[one["name"] for one in group] for group in exact["groups"]]
    refused(striate(capsys, "duplicates", index, "--threshold", "32"), 2, "32 bits")


@pytest.mark.parametrize("command", ["search", "duplicates"])
def test_a_contact_sheet_is_one_page_with_its_images(
    command: str, capsys: Capture, folder: Path, index: Path, tmp_path: Path
) -> None:
    shutil.copy(folder / "0" / "0002.png", folder / "<b>copy & more.png")
    ImageIndex.load(index).update(folder, save_to=index)
    if command == "search":
        (folder / "0" / "0002.png").unlink()  # its place is shown, not the image
    page = tmp_path / "sheet.html"
    arguments = [folder / "<b>copy & more.png", "--top", "5"] if command == "search" else ["--quiet"]
    assert striate(capsys, command, index, *arguments, "--html", page).code == 0
    text = page.read_text(encoding="utf-8")
    outline = Outline(text)
    assert not outline.named("script")
    assert not outline.named("b")
    images = outline.named("img")
    assert len(images) >= (5 if command == "search" else 2)
    assert all(str(image["src"]).startswith("data:image/jpeg;base64,") and image["alt"] for image in images)
    assert ("cannot be read" in text) == (command == "search")
    assert not re.findall(r"https?://", text)


def test_wrong_use_is_one_sentence(capsys: Capture, folder: Path, index: Path, tmp_path: Path) -> None:
    def run(*arguments: object) -> Done:
        return striate(capsys, *arguments)

    (tmp_path / "empty").mkdir()
    refused(run("index", tmp_path / "empty", "--out", tmp_path / "b.index"), 2, "empty")
    refused(run("index", tmp_path / "nowhere", "--out", tmp_path / "b.index"), 2, "nowhere")
    refused(run("index", folder, "--out", tmp_path / "no" / "b.index"), 2, "no")
    other = write_folder(tmp_path / "other", *digits((8,), 3))
    refused(run("index", other, "--out", index), 2, "nothing in", "other", "--out")
    refused(run("search", tmp_path / "none.index", folder / "0" / "0000.png"), 2, "none.index")
    refused(run("search", index, tmp_path / "no.png"), 2, "no.png")
    model_file.write(tmp_path / "m.index", {}, {}, kind="image_classifier")
    for command in (("search", tmp_path / "m.index", folder / "0" / "0000.png"), ("duplicates", tmp_path / "m.index")):
        refused(run(*command), 1, "an image classifier", "an index")
    whole = index.read_bytes()
    index.write_bytes(whole[: len(whole) // 2])
    refused(run("duplicates", index), 1, "cut off")
    index.write_bytes(whole)
    folder.rename(tmp_path / "elsewhere")
    refused(run("duplicates", index), 2, "is gone", "striate index")
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("a.png", "b.png"):
        (broken / name).write_bytes(b"text")
    refused(run("index", broken, "--out", tmp_path / "b.index", "--quiet"), 2, "can be read")


def test_neighbors_that_are_gone_are_said(capsys: Capture, folder: Path, index: Path, tmp_path: Path) -> None:
    query = shutil.copy(folder / "1" / "0013.png", tmp_path / "query\n.png")
    (tmp_path / "broken.png").write_bytes(b"text")

    def search() -> tuple[str, str, list[dict[str, object]]]:
        done = striate(capsys, "search", index, query, tmp_path / "broken.png", "--top", "100")
        found, broken = striate(capsys, "search", index, query, tmp_path / "broken.png", "--top", "100", "--json").json
        assert (broken["neighbors"], found["skipped"]) == ([], None)
        assert "image" in broken["skipped"]
        return done.out, done.err, found["neighbors"]

    out, err, near = search()
    assert out.startswith(f"{tmp_path}/query\\n.png\n")
    assert "(gone)" not in out
    assert "are gone" not in err
    assert all(one["exists"] for one in near)
    for number in range(10, 14):
        (folder / "1" / f"{number:04}.png").unlink()
    out, err, near = search()
    assert "4 of the 30 neighbors are gone" in err
    assert sum(not one["exists"] for one in near) == out.count("(gone)") == 4
    folder.rename(tmp_path / "moved")
    out, err, near = search()
    assert "is gone, where the images of" in err
    assert not any(one["exists"] for one in near)


def test_a_folder_that_moved_is_still_the_same(capsys: Capture, folder: Path, index: Path) -> None:
    moved = folder.rename(folder.parent / "moved")
    done = striate(capsys, "index", moved, "--out", index, "--json", "--quiet")
    assert (done.json["added"], done.json["unchanged"]) == (0, 30)
    assert ImageIndex.load(index).folder == str(moved.resolve())


def test_a_killed_run_goes_on_and_ends_with_the_same_file(folder: Path, tmp_path: Path) -> None:
    def run(out: Path, countdown: int) -> int:
        command = ["index", str(folder), "--out", str(out), *(SMALL if not out.exists() else ("--quiet",))]
        return subprocess.run(
            [sys.executable, "-c", KILLED, str(countdown), *command], check=False, capture_output=True
        ).returncode

    whole, out = tmp_path / "whole.index", tmp_path / "killed.index"
    assert run(whole, -1) == 0
    assert run(out, 3) == -signal.SIGKILL
    assert not ImageIndex.load(out).complete
    assert 0 < len(ImageIndex.load(out)) < 30
    assert run(out, -1) == 0
    assert out.read_bytes() == whole.read_bytes()


STOPPED = """
import os, signal, sys
from striate.retrieval import image_index
sys.modules["striate.images.stream"].BATCH = 8
encode, name, n = image_index.ImageEncoder.encode, sys.argv.pop(1), 0
def encode_and_stop(self, images):
    global n
    n += 1
    if n == 3:
        os.kill(os.getpid(), getattr(signal, name))
    return encode(self, images)
image_index.ImageEncoder.encode = encode_and_stop
from striate.cli.main import run
run()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_run_that_is_stopped_keeps_what_it_has(name: str, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "photos.index"
    command = [sys.executable, "-c", STOPPED, name, "index", str(folder), "--out", str(out), *SMALL]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 128 + getattr(signal, name), done.stderr
    assert "16 images are in" in done.stderr
    index = ImageIndex.load(out)
    assert (len(index), index.complete) == (16, False)
    assert not list(tmp_path.glob(".striate-*"))


def test_what_was_learned_is_kept_from_the_start(
    capsys: Capture, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise SystemExit

    out = tmp_path / "photos.index"
    with monkeypatch.context() as patched:
        patched.setattr(ImageIndex, "update", stopped)
        striate(capsys, "index", folder, "--out", out, *SMALL)
    index = ImageIndex.load(out)
    assert (len(index), index.complete, index.encoder.n_images) == (0, False, 30)


def test_an_index_that_was_begun_with_few_learns_anew(capsys: Capture, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "photos.index"
    small = write_folder(tmp_path / "small", *digits((0,), 3))
    assert striate(capsys, "index", small, "--out", out, *SMALL).code == 0
    for path in folder.rglob("*.png"):
        (small / "0" / f"more {path.name}").write_bytes(path.read_bytes())
    grown = striate(capsys, "index", small, "--out", out, "--json", "--quiet")
    assert (grown.json["images"], grown.json["learned_from"], grown.json["outgrown"]) == (33, 3, True)
    assert grown.err.count("\n") == 1
    assert "learned from 3 images, and 33 are indexed now" in grown.err
    assert "--relearn" in grown.err
    again = striate(capsys, "index", small, "--out", out, "--relearn", "--json", "--quiet")
    assert again.code == 0, again.err
    assert (again.json["added"], again.json["learned_from"], again.json["outgrown"]) == (33, 33, False)
    assert again.json["bits"] == 32
    assert ImageIndex.load(out).encoder.architecture == SMALL[1]
    fresh = tmp_path / "fresh.index"
    assert striate(capsys, "index", small, "--out", fresh, *SMALL).code == 0
    assert fresh.read_bytes() == out.read_bytes()
    other = striate(capsys, "index", small, "--out", out, "--relearn", "--bits", "64", "--encoder", "lsh", "--quiet")
    assert other.code == 0, other.err
    assert ImageIndex.load(out).encoder.n_bits == 64
    refused(striate(capsys, "index", small, "--out", out, "--architecture", "auto"), 2, "--architecture", "--relearn")


def test_a_folder_that_cannot_be_opened_keeps_its_images(
    capsys: Capture, folder: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def closed(path: str | Path = ".") -> object:
        if Path(path).name == "1":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    done = striate(capsys, "index", folder, "--out", index, "--json", "--quiet")
    assert (done.json["images"], done.json["removed"], done.json["out_of_reach"]) == (30, 0, 10)
    assert done.json["unreadable_folders"] == ["1"]
    text = striate(capsys, "index", folder, "--out", index, "--quiet").out
    assert "10 images stay in the index" in text
    assert "Permission denied" in text


def test_similarity_and_links_are_shown(capsys: Capture, folder: Path, index: Path, tmp_path: Path) -> None:
    image = digits((0,), 10)[0][2]
    Image.fromarray(image).resize((56, 56), Image.Resampling.BICUBIC).save(folder / "larger.png")
    (folder / "a link.png").symlink_to("larger.png")
    os.link(folder / "0" / "0002.png", folder / "hard.png")
    ImageIndex.load(index).update(folder, save_to=index)
    page = tmp_path / "copies.html"
    found = striate(capsys, "duplicates", index, "--json", "--quiet", "--html", page).json
    names = [[one["name"] for one in group] for group in found["groups"]]
    (at,) = [number for number, group in enumerate(names) if "larger.png" in group]
    assert names[at] == ["larger.png", "0/0002.png"]
    first, second = found["groups"][at]
    assert first["similarity"] is None
    assert 0.7 <= second["similarity"] <= 1
    assert [(link["name"], link["kind"]) for link in first["links"]] == [("a link.png", "symbolic")]
    assert [(link["name"], link["kind"]) for link in second["links"]] == [("hard.png", "hard")]
    assert found["pairs"][at][0]["similarity"] == second["similarity"]
    shown = page.read_text(encoding="utf-8")
    assert f"similarity {second['similarity']:.2f}" in shown
    assert "symbolic link: a link.png" in shown
    text = striate(capsys, "duplicates", index, "--quiet").out
    assert "similarity  name" in text
    assert "hard link: hard.png" in text
    refused(striate(capsys, "duplicates", index, "--also", "turned"), 2, "turned", "mirrored")


def test_an_image_of_one_color_is_said_to_be_so(capsys: Capture, folder: Path, index: Path) -> None:
    Image.new("RGB", (30, 30), "red").save(folder / "red.png")
    done = striate(capsys, "search", index, folder / "red.png", folder / "0" / "0002.png", "--json")
    assert [one["flat"] for one in done.json] == [True, False]
    assert done.err.count("of one color") == 1


def test_two_runs_on_one_index(capsys: Capture, folder: Path, index: Path) -> None:
    with hold(index) as mine:
        assert mine
        refused(striate(capsys, "index", folder, "--out", index), 1, "another run", "photos.index")
    assert striate(capsys, "index", folder, "--out", index, "--quiet").code == 0
    assert not list(index.parent.glob(".striate-*"))


def test_the_commands_run_as_programs(folder: Path, index: Path) -> None:
    command = [sys.executable, "-m", "striate", "search", str(index), str(folder / "1" / "0013.png"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (found,) = json.loads(done.stdout)
    np.testing.assert_array_equal(found["neighbors"][0]["distance"], 0)


def test_a_file_of_several_names_is_found_once(capsys: Capture, folder: Path, index: Path) -> None:
    """Links lie beside their file, lead to a folder, come before it by name, and are most of all names."""
    for number in range(40):
        (folder / f"a link {number}.png").symlink_to("0/0002.png")
    (folder / "by-link").symlink_to("7")
    one, seven = (min((folder / name).iterdir()).name for name in "17")
    os.link(folder / "1" / one, folder / "1" / "hard.png")
    ImageIndex.load(index).update(folder, save_to=index)
    done = striate(capsys, "search", index, folder / "0" / "0002.png", folder / "7" / seven, "--top", 30, "--json")
    for row, n_links in zip(done.json, (40, 1), strict=True):
        names = [one["name"] for one in row["neighbors"]]
        assert len(set(names)) == 30
        assert not any("link" in name or "hard" in name for name in names)
        first = row["neighbors"][0]
        assert first["path"] == row["path"]
        assert [link["kind"] for link in first["links"]] == n_links * ["symbolic"]
    text = striate(capsys, "search", index, folder / "7" / seven).out
    assert f"symbolic link: by-link/{seven}" in text
    done = striate(capsys, "duplicates", index, "--quiet", "--json")
    links = {one["name"]: one["links"] for one in done.json["files_of_several_names"]}
    assert len(links) == 12
    assert len(links["0/0002.png"]) == 40
    assert [(link["name"], link["kind"]) for link in links[f"1/{one}"]] == [("1/hard.png", "hard")]
    text = striate(capsys, "duplicates", index, "--quiet").out
    assert "51 of the names are links" in text
    assert "a link 0.png: symbolic link, 0/0002.png" in text
    assert "… and 41 more" in text


def test_duplicates_says_what_was_not_compared(
    capsys: Capture, folder: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, *_ = (f"0/{path.name}" for path in sorted((folder / "0").iterdir()))
    (folder / first).unlink()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith(second) and access(path, mode))
    done = striate(capsys, "duplicates", index, "--quiet", "--json")
    assert (done.json["gone"], done.json["unreadable"]) == ([first], [second])
    text = striate(capsys, "duplicates", index, "--quiet").out
    assert "1 image is gone" in text
    assert "1 image is not to be opened for now" in text
