"""How `striate.coding.natural_filters` were learned: ``python tools/natural_filters.py`` makes them again.

From four photographs that scikit-image ships, at their size and at half of it: the astronaut Eileen Collins (NASA) and
the launch of a rocket (SpaceX), which are in the public domain, and a cup of coffee (Rachel Michetti) and Chelsea the
cat (Stefan van der Walt), which their photographers have released under CC0. Without --check, the file is written; with
it, the file must have the same bytes, which it has with the same versions and processor.

Chosen on three squares of 128×128 pixels of Berkeley's training photographs, by the mean PSNR in dB with 50 % and with
75 % of the pixels missing, and with noise of 0.1: 31.7, 27.9 and 27.8. The same from Berkeley's 200 training
photographs: 31.5, 27.9 and 27.9. From the clean square itself, 64 filters: 31.7, 28.0 and 28.0; from the noisy one:
31.6, 28.0 and 27.4. Bricks, grass and gravel in addition lost 0.2 dB at 50 % missing, on two of the squares; then 64
filters instead of 128 lost 0.4 dB more, and so did 128 of 11×11.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from striate import threads
from striate.images import sample_patches, to_grey
from striate.learning import SparseCoding

FILE = Path(__file__).parents[1] / "src/striate/coding/convolutional/data/natural-filters.npy"
PHOTOGRAPHS = ("astronaut", "rocket", "coffee", "chelsea")
N_FILTERS, SIDE = 128, 8
N_PATCHES, N_BATCHES = 100_000, 600


def learned() -> NDArray[np.int8]:
    """The filters (128, 8, 8), each scaled to a largest number of ±127. With one thread, for the same last bits."""
    with threads.limit(1):
        patches = sample_patches(photographs(), N_PATCHES, SIDE, random_state=0, min_std=0.02)
        patches -= patches.mean(axis=1, keepdims=True)
        learner = SparseCoding(N_FILTERS, max_batches=N_BATCHES, random_state=0)
        units = learner.fit(patches / patches.std()).components_
    units = 127 * units / np.abs(units).max(axis=1, keepdims=True)
    return np.round(units).astype(np.int8).reshape(-1, SIDE, SIDE)


def photographs() -> list[NDArray[np.float32]]:
    """The photographs in grey, (1, height, width), at two sizes."""
    from skimage import data

    found = []
    for name in PHOTOGRAPHS:
        image = np.asarray(to_grey(np.moveaxis(getattr(data, name)(), 2, 0) / np.float32(255)), np.float32)
        found += [image, halved(image)]
    return found


def halved(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of 2×2 pixels."""
    _, height, width = image.shape
    pairs = image[:, : height // 2 * 2, : width // 2 * 2].reshape(1, height // 2, 2, width // 2, 2)
    return np.asarray(pairs.mean(axis=(2, 4)))


def packed(filters: NDArray[np.int8]) -> bytes:
    """The bytes of the file."""
    file = io.BytesIO()
    np.save(file, filters, allow_pickle=False)
    return file.getvalue()


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(f"unknown arguments {' '.join(sys.argv[1:])}; the only option is --check")
    made = packed(learned())
    if not sys.argv[1:]:
        FILE.write_bytes(made)
    elif FILE.read_bytes() != made:
        sys.exit(f"{FILE} is not what this recipe makes")
