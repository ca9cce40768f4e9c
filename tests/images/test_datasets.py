from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import striate.images
from striate.errors import StriateError, UsageError
from striate.images import datasets
from striate.images import download as downloading
from striate.images.datasets import DATA_SETS, DataSet, Download, data_folder, find, get
from tests.file_server import FileServer
from tests.images.test_unpack import content_of, tar_of, zip_of

PICTURE = b"image " * 1000


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that STRIATE_DATA names; the user's data folder is elsewhere, and empty."""
    monkeypatch.setattr(downloading, "_PAUSE", 0.0)
    monkeypatch.setattr(datasets, "_user_root", lambda: tmp_path / "user")
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def publish(file_server: FileServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put other files, with their checksums, in the place of those that a publisher has."""

    def change(name: str, **files: bytes) -> None:
        downloads = []
        for file_name, content in files.items():
            file_server.files[f"/{file_name}"] = content
            urls = (f"{file_server.url}/{file_name}?download=1",)
            file_server.files[f"/{file_name}?download=1"] = content
            downloads.append(Download(urls, hashlib.sha256(content).hexdigest()))
        changed = {**DATA_SETS, name: replace(DATA_SETS[name], downloads=tuple(downloads))}
        monkeypatch.setattr(datasets, "DATA_SETS", changed)

    return change


@pytest.mark.parametrize("data_set", DATA_SETS.values(), ids=list(DATA_SETS))
def test_every_set_can_be_had_somehow(data_set: DataSet) -> None:
    assert all((data_set.what, data_set.license, data_set.layout))
    assert data_set.homepage.startswith("http")
    assert bool(data_set.downloads) == bool(data_set.megabytes) != bool(data_set.by_hand)
    for one in data_set.downloads:
        assert len(bytes.fromhex(one.sha256)) == 32
        assert one.sha256 == one.sha256.lower()
        assert all(url.startswith("http") and one.name in url for url in one.urls)
    for pattern, place in data_set.unpacked.items():
        assert pattern
        assert ".." not in place


def test_striate_data_comes_before_the_users_folder(root: Path, tmp_path: Path) -> None:
    assert find("mnist") is None
    (tmp_path / "user" / "mnist").mkdir(parents=True)
    assert find("mnist") is None, "an empty folder is no data set"
    (tmp_path / "user" / "mnist" / "x").touch()
    assert data_folder("mnist") == tmp_path / "user" / "mnist"
    (root / "mnist").mkdir(parents=True)
    (root / "mnist" / "x").touch()
    assert data_folder("mnist") == root / "mnist" == find("mnist")


def test_without_striate_data_the_users_folder_counts(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STRIATE_DATA")
    assert datasets.data_root() == tmp_path / "user"
    monkeypatch.undo()
    assert datasets._user_root().name == "striate"


def test_an_absent_set_says_how_to_get_it(root: Path) -> None:
    with pytest.raises(UsageError, match=r"type `striate data get caltech101`, or put it into .*caltech101"):
        data_folder("caltech101")
    for ask in (data_folder, get):
        with pytest.raises(UsageError, match=r"stereo .*register with the publisher.*stereo holds kitti-00/left/"):
            ask("stereo")
        with pytest.raises(UsageError, match="there is no data set 'minst'; choose one of mnist, caltech101"):
            ask("minst")
    assert not root.exists()


def test_files_that_are_used_as_they_are(root: Path, file_server: FileServer, publish: Callable[..., None]) -> None:
    publish("mnist", **{"a.gz": PICTURE, "b.gz": b"labels"})
    (root / "mnist").mkdir(parents=True)  # empty, as someone may have prepared it
    assert get("mnist") == root / "mnist"
    assert content_of(root) == {"mnist/a.gz": PICTURE, "mnist/b.gz": b"labels"}
    n_requests = len(file_server.requests)
    assert get("mnist") == root / "mnist"
    assert len(file_server.requests) == n_requests == 2


def test_caltech101_is_an_archive_in_an_archive(root: Path, publish: Callable[..., None]) -> None:
    inner = tar_of(
        {
            "101_ObjectCategories/ant/image_0001.jpg": PICTURE,
            "101_ObjectCategories/ant/._image_0001.jpg": b"of another system",
            "101_ObjectCategories/BACKGROUND_Google/image_0001.jpg": b"2",
            "101_ObjectCategories/BACKGROUND_Google/tmp": b"3",
        }
    )
    files = {DATA_SETS["caltech101"].inner: inner, "__MACOSX/caltech-101/._x": b"", "caltech-101/Annotations.tar": b""}
    publish("caltech101", **{"caltech-101.zip": zip_of(files)})
    get("caltech101")
    expected = {"caltech101/ant/image_0001.jpg": PICTURE, "caltech101/BACKGROUND_Google/image_0001.jpg": b"2"}
    assert content_of(root) == expected


def test_berkeley_has_a_validation_part(root: Path, publish: Callable[..., None]) -> None:
    names = ["images/train/100075.jpg", "images/test/101085.jpg", "iids_train.txt"]
    publish("berkeley", **{"BSDS300-images.tgz": tar_of({f"BSDS300/{name}": b"1" for name in names})})
    get("berkeley")
    assert set(content_of(root)) == {"berkeley/train/100075.jpg", "berkeley/val/101085.jpg"}


def test_the_stories_are_compressed(root: Path, publish: Callable[..., None]) -> None:
    publish("reuters21578", **{"reuters21578.tar.gz": tar_of({"./reut2-000.sgm": b"<REUTERS>", "./lewis.dtd": b""})})
    folder = get("reuters21578")
    assert [path.name for path in folder.iterdir()] == ["reut2-000.sgm.gz"]
    assert gzip.decompress((folder / "reut2-000.sgm.gz").read_bytes()) == b"<REUTERS>"


def test_a_mirror_takes_the_publishers_place(root: Path, file_server: FileServer, publish: Callable[..., None]) -> None:
    publish("mnist", **{"a.gz": PICTURE})
    get("mnist", base_url=file_server.url + "/")
    assert file_server.requests == [("/a.gz", "")]
    with pytest.raises(UsageError, match="the mirror 'example' is not a web address"):
        get("berkeley", base_url="example")


def test_a_mirror_without_end_is_bounded_by_the_known_size(root: Path, file_server: FileServer) -> None:
    file_server.files["/train-images-idx3-ubyte.gz"] = b""
    file_server.endless = True
    with pytest.raises(StriateError, match="sends more than the 13000 kB"):
        get("mnist", base_url=file_server.url)
    assert sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) == 0


def test_what_has_arrived_is_not_asked_for_again(
    root: Path, file_server: FileServer, publish: Callable[..., None]
) -> None:
    publish("mnist", **{"a.gz": PICTURE, "b.gz": PICTURE + b"2"})
    broken = file_server.files.pop("/b.gz?download=1")
    message = r"mnist: could not download b\.gz: 127.* 404.*get mnist` again, which goes on.*four \*-ubyte"
    with pytest.raises(StriateError, match=message) as caught:
        get("mnist")
    assert "\n" not in str(caught.value)
    assert find("mnist") is None
    (root / ".mnist.arriving" / "tmpabc").touch()  # what a download that was killed leaves behind
    file_server.files["/b.gz?download=1"] = broken
    file_server.requests.clear()
    get("mnist")
    assert file_server.requests == [("/b.gz?download=1", "")]
    assert set(content_of(root)) == {"mnist/a.gz", "mnist/b.gz"}


def test_an_interrupted_unpacking_starts_afresh(root: Path, publish: Callable[..., None]) -> None:
    publish("berkeley", **{"x.tgz": tar_of({"BSDS300/images/train/1.jpg": b"1"})})
    half = root / ".berkeley.arriving" / "unpacked" / "train" / "2.jpg"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    get("berkeley")
    assert set(content_of(root)) == {"berkeley/train/1.jpg"}


# Of the uncompressed files, as independent projects publish them.
MNIST_CONTENT = {
    "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


@pytest.mark.data
@pytest.mark.parametrize("name", MNIST_CONTENT)
def test_the_digits_of_the_experiments_are_the_publishers(data_folder: Callable[[str], Path], name: str) -> None:
    assert name in {one.name for one in DATA_SETS["mnist"].downloads}
    content = gzip.decompress((data_folder("mnist") / name).read_bytes())
    assert hashlib.sha256(content).hexdigest() == MNIST_CONTENT[name]


def test_data_folder_is_a_public_name() -> None:
    assert striate.images.data_folder is data_folder


OFFLINE = """
import importlib, json, pkgutil, socket, sys

def refuse(*_, **__):
    raise AssertionError("striate opened a connection")

socket.socket.connect = socket.socket.connect_ex = socket.create_connection = socket.getaddrinfo = refuse
import striate
from striate.images import load_mnist_digits
images, labels = load_mnist_digits()
assert images.shape == (5000, 1, 28, 28)
imported = []
for module in pkgutil.walk_packages(striate.__path__, "striate."):
    if module.name.rsplit(".", 1)[1] not in ("__main__", "_torch"):
        importlib.import_module(module.name)
        imported.append(module.name)
print(json.dumps(imported))
"""


def test_nothing_but_get_needs_a_network() -> None:
    result = subprocess.run([sys.executable, "-c", OFFLINE], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    imported = json.loads(result.stdout)
    assert {"striate.images.datasets", "striate.recognition.image_classifier", "striate.cli.train"} <= set(imported)
