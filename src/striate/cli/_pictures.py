"""Pictures that are named on the command line: files and folders, in batches, the unreadable ones set aside."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from striate.errors import StriateError, UsageError
from striate.images import Preprocessing, Skipped, as_images, sample_patches, stream
from striate.progress import Progress


def each_picture(
    paths: Sequence[Path], preprocessing: Preprocessing, skipped: list[Skipped]
) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
    """Names and prepared pictures (n, channels, height, width), a batch at a time; unreadable ones are appended."""
    files: list[str] = []
    for path in paths:
        if path.is_dir():
            files += [str(file) for file in as_images(path).paths or ()]
        elif path.exists():
            files.append(str(path))
        else:
            raise UsageError(f"{path}: no such file: give pictures, or folders of them.")
    if files:
        for found, prepared in stream(
            as_images(files), preprocessing, batch_size=64, skipped=skipped, require_half=False, **preprocessing.reading
        ):
            yield [files[index] for index in found], prepared


def fail_if_skipped(skipped: Sequence[Skipped], n_all: int) -> None:
    """Tell about unreadable pictures on standard error; StriateError (exit 1) when that is more than half of them."""
    from striate.cli._training import describe_skipped

    if not skipped:
        return
    sys.stderr.write(describe_skipped(skipped) + "\n")
    if 2 * len(skipped) > n_all:
        raise StriateError(f"{len(skipped)} of {n_all} pictures could not be read: see the list above.")


def patches_of_folder(
    folder: Path, n: int, size: int, seed: int, progress: Progress
) -> tuple[NDArray[np.float32], Preprocessing]:
    """Patches of at most 2,000 of a folder's pictures, and their preprocessing, as the preset has it for filters."""
    from striate.recognition import choose, describe

    images = as_images(folder)
    preprocessing = choose(describe(images), system="hierarchy").preprocessing
    rng = np.random.default_rng(seed)
    chosen = images.subset(np.sort(rng.choice(len(images), min(len(images), 2000), replace=False)))
    with progress.phase("patches", total=n, unit="patches") as phase:
        # Flat ones teach nothing.
        rows = sample_patches(chosen, n, size, random_state=rng, min_std=0.1, prepare=preprocessing)
        phase.advance(len(rows))
    return rows, preprocessing
