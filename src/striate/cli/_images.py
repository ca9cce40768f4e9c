"""Images that are named on the command line: files and folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from striate.cli._left_out import LeftOut
from striate.errors import UnreadableImage, UsageError
from striate.images import ImageCollection, ImageFiles, Preprocessing, Skipped, as_images, sample_patches
from striate.images.manifest import MANIFEST, ManifestImages
from striate.images.tar import TarImages, tar_files
from striate.progress import Progress


def images_in(path: Path) -> ImageCollection:
    """The images of whatever a command takes: a folder, a data file, a manifest, a tar file, or a folder of them."""
    if is_manifest(path):
        return ManifestImages(path)
    return TarImages(path) if is_tar(path) else as_images(path)


def is_manifest(path: Path) -> bool:
    """Whether a path is a file of `striate manifest`."""
    return path.name.endswith(MANIFEST) and not path.is_dir()


def is_tar(path: Path) -> bool:
    """Whether a path is a tar file, or a folder that holds nothing else to take images from."""
    return path.suffix.lower() == ".tar" or (path.is_dir() and bool(tar_files(path)))


def named_images(paths: Sequence[Path], left_out: LeftOut) -> ImageCollection:
    """The images that are named on the command line, and those in named folders; notes what is left out.

    A manifest, a tar file, or a folder of tar files, is given alone.
    """
    if any(map(is_manifest, paths)):
        if len(paths) > 1:
            raise UsageError("a manifest stands for all images: give it alone.")
        return left_out.of(images_in(paths[0]))
    shards = [path for path in paths if is_tar(path)]
    if shards and len(paths) > 1:
        raise UsageError("tar files are taken from one folder: give this folder, or one tar file, alone.")
    if shards:
        return left_out.of(TarImages(shards[0]))
    files: list[str] = []
    empty: list[UsageError] = []  # folders without images, or that cannot be opened
    for path in paths:
        if path.is_dir():
            try:
                files += [str(file) for file in left_out.of(as_images(path)).paths or ()]
            except UsageError as error:
                empty.append(error)
        elif os.path.lexists(path):
            files.append(str(path))
        else:
            raise UsageError(f"{path}: no such file: give images, or folders of them.")
    if empty and not files:
        raise empty[0]
    left_out.notes += [str(error) for error in empty]
    return ImageFiles(files)


def read_or_skip(images: ImageCollection, index: int, left_out: LeftOut, *, color: bool | None) -> np.ndarray | None:
    """An image (channels, height, width); None, and a note, if it cannot be read."""
    try:
        return images.read(index, color=color)
    except UnreadableImage as error:
        left_out.skipped.append(Skipped(images.names[index], error.reason))
        return None


class _Watched(ImageCollection):
    """A collection that records its unreadable images, for callers that skip them silently."""

    def __init__(self, images: ImageCollection, skipped: list[Skipped]) -> None:
        self._images = images
        self._skipped = skipped
        self.names, self.labels = images.names, images.labels

    def read(self, index: int, *, color: bool | None = None, at_least: int | None = None) -> np.ndarray:
        """See `ImageCollection.read`."""
        try:
            return self._images.read(index, color=color, at_least=at_least)
        except UnreadableImage as error:
            one = Skipped(self.names[index], error.reason)
            if one not in self._skipped:
                self._skipped.append(one)
            raise

    def size_of(self, index: int) -> tuple[int, int, int]:
        """See `ImageCollection.size_of`."""
        return self._images.size_of(index)


def patches_of_folder(
    folder: Path, n: int, size: int, seed: int, progress: Progress, left_out: LeftOut, *, context: int = 1
) -> tuple[NDArray[np.float32], Preprocessing]:
    """Patches from at most 2,000 images of a folder, and their preprocessing: the preset's for learning filters.

    With a `context` above 1, patches are so many times as large, or as large as images are, and fewer: their pixels
    are as many.
    """
    from striate.hierarchy import choose, describe

    images = _Watched(left_out.of(as_images(folder)), left_out.skipped)
    preprocessing = choose(describe(images), system="hierarchy").preprocessing
    side = max(size, min(context * size, *preprocessing.shape[1:]))
    n = -(-n * size**2 // side**2)
    rng = np.random.default_rng(seed)
    chosen = images.subset(np.sort(rng.choice(len(images), min(len(images), 2000), replace=False)))
    with progress.phase("patches", total=n, unit="patches") as phase:
        # Patches of one color carry no information.
        try:
            rows = sample_patches(chosen, n, side, random_state=rng, min_std=0.1, prepare=preprocessing)
        except UsageError as error:
            if "patch_size" not in str(error):
                raise
            raise UsageError(
                f"{folder}: no image has a patch of {size}×{size} pixels that varies: give a smaller --size, or images "
                "that are larger and not flat."
            ) from None
        phase.advance(len(rows))
    return rows, preprocessing
