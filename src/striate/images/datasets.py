"""The data sets of the experiments: what they are, where they are stored, and how to download them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from striate.errors import StriateError, UsageError
from striate.images.download import download
from striate.images.unpack import unpack
from striate.progress import Progress

__all__ = ["DATA_SETS", "DataSet", "Download", "data_folder", "data_root", "find", "get"]


@dataclass(frozen=True)
class Download:
    """A file to download.

    Parameters
    ----------
    urls : tuple of str
        The publisher's address, followed by exact copies that are tried when it fails. The first one names the file.
    sha256 : str
        Checksum of the publisher's file, as independent projects publish it.
    """

    urls: tuple[str, ...]
    sha256: str

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.urls[0].split("?")[0].rsplit("/", 1)[1]


@dataclass(frozen=True)
class DataSet:
    """A data set; its folder is named after its key in `DATA_SETS`.

    Parameters
    ----------
    what : str
        Its content.
    license : str
        Short form of the terms of use.
    homepage : str
        The publisher's description.
    layout : str
        The required content of its folder.
    downloads : tuple of Download
        Empty for a data set that has to be copied by hand.
    megabytes : int
        Size of the downloads in 10⁶ bytes.
    unpacked : mapping of str to str
        Which files of an archive go where (see `unpack`); empty if the downloads are used as they are.
    inner : str
        The archive within the archive, if there is one.
    by_hand : str
        How to get a data set without downloads, as an imperative sentence without its full stop.
    """

    what: str
    license: str
    homepage: str
    layout: str
    downloads: tuple[Download, ...] = ()
    megabytes: int = 0
    unpacked: Mapping[str, str] = field(default_factory=dict)
    inner: str = ""
    by_hand: str = ""


def _mnist(name: str, sha256: str) -> Download:
    # The publisher's own server often refuses; the second address is the copy that PyTorch uses.
    places = ("http://yann.lecun.com/exdb/mnist/", "https://ossci-datasets.s3.amazonaws.com/mnist/")
    return Download(tuple(place + name for place in places), sha256)


_BERKELEY = "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/"

DATA_SETS: Mapping[str, DataSet] = MappingProxyType(
    {
        "mnist": DataSet(
            what="70,000 handwritten digits of 28×28, 60,000 of them for training",
            license="CC BY-SA 3.0",
            homepage="http://yann.lecun.com/exdb/mnist/",
            layout="the four *-ubyte.gz files",
            downloads=(
                _mnist(
                    "train-images-idx3-ubyte.gz", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
                ),
                _mnist(
                    "train-labels-idx1-ubyte.gz", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
                ),
                _mnist("t10k-images-idx3-ubyte.gz", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
                _mnist("t10k-labels-idx1-ubyte.gz", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
            ),
            megabytes=12,
        ),
        "caltech101": DataSet(
            what="9,144 photographs of about 300×200, 101 kinds of objects and a background class",
            license="CC BY 4.0",
            homepage="https://data.caltech.edu/records/mzrjq-6wc02",
            layout="one folder per class, BACKGROUND_Google included",
            downloads=(
                Download(
                    ("https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip?download=1",),
                    "331234750fc7f77520e50d9565e8b6907b03565e30320da1401130db08c61f91",
                ),
            ),
            megabytes=137,
            inner="caltech-101/101_ObjectCategories.tar.gz",
            unpacked={r"101_ObjectCategories/([^/]+/[^/.][^/]*\.jpg)": r"\1"},
        ),
        "berkeley": DataSet(
            what="300 photographs of nature and people, 481×321, 200 of them for training",
            license="non-commercial research",
            homepage=_BERKELEY + "bsds/",
            layout="train/ and val/ with JPEGs",
            downloads=(
                Download(
                    (
                        _BERKELEY + "bsds/BSDS300-images.tgz",
                        _BERKELEY + "grouping/segbench/BSDS300-images.tgz",
                    ),
                    "a5f7d0e49fe135c75518a3543ced24470156fd69305ae77845dff2a5138652b4",
                ),
            ),
            megabytes=22,
            # What BSDS300 calls test became the validation part of BSDS500.
            unpacked={
                r"BSDS300/images/train/(\d+\.jpg)": r"train/\1",
                r"BSDS300/images/test/(\d+\.jpg)": r"val/\1",
            },
        ),
        "scenes15": DataSet(
            what="4,485 grey photographs of 15 kinds of places, longer side reduced to 144",
            license="research",
            homepage="https://figshare.com/articles/dataset/15-Scene_Image_Dataset/7007177",
            layout="one folder a category, Bedroom to TallBuilding",
            by_hand="download the archive, reduce the longer side of each image to 144, and name the 15 folders",
        ),
        "coil100": DataSet(
            what="objects on a turntable in steps of 10°, grey, 64×64",
            license="research",
            homepage="https://www.cs.columbia.edu/CAVE/software/softlib/coil-100.php",
            layout="coil100-64x64.npz with the arrays images, object and azimuth (degrees)",
            by_hand="download coil-100.zip, make every second view grey, reduce it to 64×64, and save the arrays",
        ),
        "small-norb": DataSet(
            what="48,600 stereo pairs of 50 toys in 5 categories, 96×96, half of them for testing",
            license="research",
            homepage="https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/",
            layout="the six files smallnorb-*-dat.mat, -cat.mat and -info.mat, of training and testing",
            by_hand="download the six .mat.gz files and unpack them",
        ),
        "tiles": DataSet(
            what="1,344 grey photographs of magnetic tiles in 6 classes of different size, longer side at most 240",
            license="research",
            homepage="https://github.com/abin24/Magnetic-tile-defect-datasets.",
            layout="one folder a class: blowhole, break, crack, fray, free, uneven",
            by_hand="download the images, reduce the longer side of each to at most 240, and name the six folders",
        ),
        "reuters21578": DataSet(
            what="21,578 newswire stories of 1987 with their topics, in SGML",
            license="research",
            homepage="https://archive.ics.uci.edu/dataset/137/reuters+21578+text+categorization+collection",
            layout="reut2-000.sgm.gz to reut2-021.sgm.gz",
            downloads=(
                Download(
                    (
                        "https://archive.ics.uci.edu/ml/machine-learning-databases/reuters21578-mld/reuters21578.tar.gz",
                        "https://kdd.ics.uci.edu/databases/reuters21578/reuters21578.tar.gz",
                    ),
                    "3bae43c9b14e387f76a61b6d82bf98a4fb5d3ef99ef7e7075ff2ccbcf59f9d30",
                ),
            ),
            megabytes=8,
            unpacked={r"(?:.*/)?(reut2-\d{3}\.sgm)": r"\1.gz"},
        ),
        "video": DataSet(
            what="two moving scenes: tennis (70 frames, DAVIS 2016) and bag (196 frames, VOT2016)",
            license="research",
            homepage="https://davischallenge.org/davis2016/code.html and https://www.votchallenge.net/vot2016/",
            layout="tennis/ and bag/ with numbered JPEGs",
            by_hand="download both collections and copy the frames of these two sequences",
        ),
        "stereo": DataSet(
            what="rectified stereo pairs of two drives: 20 in color, 51 grey ones with poses (KITTI odometry)",
            license="CC BY-NC-SA 3.0",
            homepage="https://www.cvlibs.net/datasets/kitti/eval_odometry.php",
            layout="kitti-00/left/, right/ and calib.txt, and kitti-grey/ likewise, with poses.txt",
            by_hand="register with the publisher, download the color odometry data, and copy image_2 of the first 20 "
            "frames of sequence 00 to kitti-00/left, image_3 to right, and calib.txt; kitti-grey holds 51 grey pairs "
            "(image_0, image_1) with their lines of the sequence's poses",
        ),
    }
)


def data_root() -> Path:
    """The folder of data sets: ``STRIATE_DATA``, or striate's folder among the user's data. It may not exist."""
    chosen = os.environ.get("STRIATE_DATA")
    return Path(chosen) if chosen else _user_root()


def _user_root() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("striate", appauthor=False))


def find(name: str) -> Path | None:
    """Where a data set is on this machine; None if it is not there.

    Parameters
    ----------
    name : str
        One of `DATA_SETS`.

    Returns
    -------
    Path or None
        Its folder, in ``STRIATE_DATA`` or else among the user's data. An empty folder does not count.

    Raises
    ------
    UsageError
        When there is no data set of that name.
    """
    _known(name)
    for root in dict.fromkeys((data_root(), _user_root())):
        folder = root / name
        if folder.is_dir() and any(folder.iterdir()):
            return folder
    return None


def data_folder(name: str) -> Path:
    """Where a data set is on this machine.

    Parameters
    ----------
    name : str
        One of `DATA_SETS`.

    Returns
    -------
    Path
        Its folder, in ``STRIATE_DATA`` or else among the user's data.

    Raises
    ------
    UsageError
        When there is no such data set, or it is not on this machine; the message says how to get it. Nothing is ever
        downloaded here.
    """
    folder = find(name)
    if folder is not None:
        return folder
    if not DATA_SETS[name].downloads:
        raise UsageError(_by_hand(name))
    raise UsageError(
        f"the data set {name} is not on this machine; type `striate data get {name}`, "
        f"or put it into {data_root() / name} ({DATA_SETS[name].layout})"
    )


def get(name: str, *, base_url: str | None = None, timeout: float = 30.0, progress: Progress | None = None) -> Path:
    """Download a data set from its publisher, unless it is on this machine.

    Every file is checked against its SHA-256. The next call continues an interrupted transfer. The folder gets its name
    only when it is complete.

    Parameters
    ----------
    name : str
        One of `DATA_SETS`.
    base_url : str, optional
        The address of a folder with the same files, used instead of the publisher's server.
    timeout : float, default=30.0
        Seconds without data after which a connection counts as broken.
    progress : Progress, optional
        Counts the kilobytes that arrive.

    Returns
    -------
    Path
        The data set's folder.

    Raises
    ------
    UsageError
        When there is no such data set, it has to be placed by hand, or `base_url` is not a web address.
    StriateError
        When the download fails.
    """
    present = find(name)
    if present is not None:
        return present
    data_set = DATA_SETS[name]
    if not data_set.downloads:
        raise UsageError(_by_hand(name))
    if base_url is not None and not base_url.startswith(("http://", "https://")):
        raise UsageError(f"the mirror {base_url!r} is not a web address; it must begin with http:// or https://")
    folder = data_root() / name
    arriving = data_root() / f".{name}.arriving"
    arriving.mkdir(parents=True, exist_ok=True)
    for one in data_set.downloads:
        urls = one.urls if base_url is None else (f"{base_url.rstrip('/')}/{one.name}",)
        try:
            # The size of all its files is known to a million bytes.
            max_bytes = (data_set.megabytes + 1) * 10**6
            download(urls, one.sha256, arriving / one.name, max_bytes=max_bytes, timeout=timeout, progress=progress)
        except StriateError as error:
            raise StriateError(
                f"{name}: could not download {error}; type `striate data get {name}` again, which goes on "
                f"from what has arrived, or put the data set into {folder} ({data_set.layout})"
            ) from error
    _complete(data_set, arriving, folder)
    return folder


def _known(name: str) -> None:
    if name not in DATA_SETS:
        raise UsageError(f"there is no data set {name!r}; choose one of {', '.join(DATA_SETS)}")


def _by_hand(name: str) -> str:
    data_set = DATA_SETS[name]
    return (
        f"the data set {name} is not on this machine and cannot be downloaded as it is needed; from "
        f"{data_set.homepage}, {data_set.by_hand}, so that {data_root() / name} holds {data_set.layout}"
    )


def _complete(data_set: DataSet, arriving: Path, folder: Path) -> None:
    """Unpack the downloads, and give the folder its final name in one step."""
    ready = arriving
    if data_set.unpacked:
        ready = arriving / "unpacked"
        shutil.rmtree(ready, ignore_errors=True)  # left by an unpacking that was interrupted
        for one in data_set.downloads:
            unpack(arriving / one.name, data_set.unpacked, ready, inner=data_set.inner)
    else:
        expected = {one.name for one in data_set.downloads}
        for path in arriving.iterdir():
            if path.name not in expected:  # a temporary file of a download that was killed
                path.unlink()
    if folder.is_dir():
        folder.rmdir()  # it is empty, and not every system renames onto it
    ready.rename(folder)
    shutil.rmtree(arriving, ignore_errors=True)
