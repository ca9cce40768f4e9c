"""Features of very many images, in one file per some thousand of them: each is written by one worker, or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.distribute import map_shards
from striate.errors import StriateError, UsageError
from striate.hierarchy.features import Transform, extract_features
from striate.hierarchy.hierarchy import Hierarchy
from striate.images.collection import ImageCollection
from striate.images.parts import part_of
from striate.images.preprocessing import Preprocessing
from striate.images.stamps import fingerprint_of, stamp_of
from striate.images.stream import Skipped
from striate.images.tar import TarImages
from striate.parameters import Integer, checked
from striate.progress import Progress
from striate.whole_file import whole_file

__all__ = ["PER_FILE", "FeatureFile", "read_feature_files", "write_feature_files"]

PER_FILE = 2048
"""Images per file: 80 MB at 10,000 features, and some seconds of work; whole batches of `stream`."""


class FeatureFile(NamedTuple):
    """Features of consecutive images.

    Attributes
    ----------
    path : Path
        The ``.npy`` file, float32 (n_read, n_features).
    names : list of str
        The images of its rows.
    skipped : list of Skipped
        Images between them that could not be read.
    """

    path: Path
    names: list[str]
    skipped: list[Skipped]

    @property
    def rows(self) -> NDArray[np.float32]:
        """The features, as a memory map."""
        rows: NDArray[np.float32] = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return rows


def write_feature_files(
    images: ImageCollection,
    preprocessing: Preprocessing,
    transform: Transform,
    folder: Path,
    *,
    per_file: int = PER_FILE,
    progress: Progress | None = None,
) -> list[FeatureFile]:
    """Write features of a collection into a folder: ``features-00000.npy`` and so on, with their names beside them.

    The workers of `striate.distribute` write the files, so that neither images nor features pass through this process,
    whose memory does not grow. A run that was ended goes on: files that are complete, of the same images, sizes and
    times, and of the same transform, are kept. The features are those of `extract_features` for the images of a file.

    Parameters
    ----------
    images : ImageCollection
    preprocessing : Preprocessing
    transform : Hierarchy, or callable (n, channels, height, width) → (n, ...)
        With a callable, files of an earlier one are kept as well; remove them when it has changed.
    folder : Path
        Is made if it does not exist. Files with higher numbers, of an earlier run with more images, are removed.
    per_file : int
        Images per file; a worker holds the features of one file.
    progress : Progress, optional

    Returns
    -------
    list of FeatureFile

    Raises
    ------
    StriateError
        If a file cannot be written, for example because the disk of a worker is full. Files that are complete stay.
    """
    per_file = checked("per_file", per_file, Integer(low=1))
    folder.mkdir(parents=True, exist_ok=True)
    of_transform = _digest(preprocessing, transform)
    todo: list[int] = []

    def parts() -> Iterator[tuple[int, ImageCollection, str]]:
        """What there is to do; whether a file is complete is looked up just before."""
        for number in range(n_files):
            part = part_of(images, range(number * per_file, min(len(images), (number + 1) * per_file)), preprocessing)
            digest = f"{of_transform} {_digest_of_images(part)}"
            if _complete(folder, number, digest):
                phase.advance(len(part))
            else:
                todo.append(len(part))
                yield number, part, digest

    n_files = -(-len(images) // per_file)
    with (progress or Progress()).phase("features", total=len(images), unit="images") as phase:
        for done, _ in enumerate(map_shards(partial(_write, preprocessing, transform, folder), parts())):
            phase.advance(todo[done])
    number = n_files
    while any(path.exists() for path in _paths(folder, number)):
        for path in _paths(folder, number):
            path.unlink(missing_ok=True)
        number += 1
    return read_feature_files(folder)


def read_feature_files(folder: Path) -> list[FeatureFile]:
    """The files that `write_feature_files` has written, in the order of the images.

    Raises
    ------
    UsageError
        If there are none.
    StriateError
        If one is damaged or missing.
    """
    found: list[FeatureFile] = []
    for path, beside in map(partial(_paths, folder), range(10**5)):
        if not beside.exists():
            break
        try:
            header = json.loads(beside.read_bytes())
            one = FeatureFile(path, header["names"], [Skipped(*pair) for pair in header["skipped"]])
            if len(one.rows) != len(one.names):
                raise ValueError("it has another number of rows")
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise StriateError(f"{path}: is damaged or missing ({error}); write the features again") from None
        found.append(one)
    if not found:
        raise UsageError(f"{folder}: holds no features; write them with striate features --per-file")
    return found


def _paths(folder: Path, number: int) -> tuple[Path, Path]:
    """The files of features and of names."""
    return folder / f"features-{number:05}.npy", folder / f"features-{number:05}.json"


def _write(
    preprocessing: Preprocessing, transform: Transform, folder: Path, task: tuple[int, ImageCollection, str]
) -> None:
    """What a worker does: the features, then the names, whose file says that both are complete."""
    number, part, digest = task
    path, beside = _paths(folder, number)
    beside.unlink(missing_ok=True)
    found = extract_features(part, preprocessing, transform, require_half=False)
    with whole_file(path) as file:
        np.save(file, found.rows)
        file.flush()
    header = {
        "of": digest,
        "names": [part.names[position] for position in found.positions],
        "skipped": [[one.name, one.reason] for one in found.skipped],
    }
    with whole_file(beside) as file:
        file.write(json.dumps(header, ensure_ascii=False, indent=0).encode("utf-8", "surrogateescape"))


def _complete(folder: Path, number: int, digest: str) -> bool:
    path, beside = _paths(folder, number)
    try:
        return bool(json.loads(beside.read_bytes())["of"] == digest) and path.exists()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _digest_of_images(part: ImageCollection) -> str:
    """Differs if the images have changed: by sizes and times of files, or by the content of arrays."""
    digest = hashlib.sha256(fingerprint_of(part).encode())
    if isinstance(part, TarImages):
        digest.update(repr([stamp_of(path) for path in part.archives]).encode())
    elif part.paths is None:
        for image in part:
            digest.update(image.tobytes())
    return digest.hexdigest()[:32]


def _digest(preprocessing: Preprocessing, transform: Transform) -> str:
    """What features depend on, apart from the images."""
    digest = hashlib.sha256(json.dumps(preprocessing.to_state(), sort_keys=True).encode())
    if isinstance(transform, Hierarchy):
        arrays, header = transform.to_state()
        described: Any = [header, sorted((name, array.dtype.str, array.shape) for name, array in arrays.items())]
        digest.update(json.dumps(described, sort_keys=True).encode())
        for _, array in sorted(arrays.items()):
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]
