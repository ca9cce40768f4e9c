"""How the features that ship were learned: ``python -m striate.live.recipe`` makes them again.

From 300 photographs of natural scenes (Berkeley), without labels: whitened patches in color, two stages of filters,
the second on 16 maps of the first each, and sparse codes of SIFT. Dictionaries are a quarter of those of `striate
train`, so that the file is small and features take about 20 ms of one core.

Chosen on development draws (seeds 0 to 2) of 10 classes of COIL-100 and Caltech-101 with 5 samples each, where all
features of `striate train`, learned from these samples, were right on 95.8 and 73.2 %: patches and filters on 96.0 and
70.3 %, sparse codes alone on 97.8 and 73.2 %, all three on 96.8 and 74.5 %. Oriented gradients added nothing. Means
over images and their mirror images would have gained 2 points, but a camera must tell left from right.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from striate import threads
from striate.hierarchy import Hierarchy, learn_filters
from striate.images import Preprocessing, as_images, data_folder
from striate.learning import PSD
from striate.live.features import SHIPPED, LiveFeatures
from striate.progress import Progress

__all__ = ["learn_shipped", "squares_of"]

SIDE = 143
PREPROCESSING = Preprocessing((SIDE, SIDE), color="rgb", contrast="none")
PATHS = (
    "PA2x2/2 - 200WP6x6/2 - GA3 - ROOT - Z",
    "GREY - LCN - 64F9x9 - Rabs - N - PA10x10/5 - 256F5x5:16 - Rabs - N - PA6x6/4 - Z",
    "GREY - SIFT16x16/6 - 256SC - PM1+2+4",
)
LEARNERS = (PSD(sparsity=2.0, max_batches=1500), PSD(sparsity=0.3, max_batches=300, n_inference_steps=10))
SEED = 0


def learn_shipped(photographs: Path, *, progress: Progress | None = None) -> LiveFeatures:
    """Learn the features that ship from a folder of photographs, those of Berkeley.

    With one thread, since the last bits of what is learned depend on the number of threads.
    """
    with threads.limit(1):
        hierarchy, _ = learn_filters(
            Hierarchy("{" + " | ".join(PATHS) + "}"),
            squares_of(photographs),
            learners=LEARNERS,
            random_state=SEED,
            progress=progress,
        )
    return LiveFeatures(PREPROCESSING, hierarchy)


def squares_of(photographs: Path) -> NDArray[np.float32]:
    """Three squares of each photograph, (n, 3, 143, 143): at its two ends, and in its middle, two thirds as large."""
    found = []
    collection = as_images(photographs)
    for number in range(len(collection)):
        image = collection.read(number, color=True)
        height, width = image.shape[1:]
        side = min(height, width)
        inner = 2 * side // 3
        for top, left, length in (
            (0, 0, side),
            (height - side, width - side, side),
            ((height - inner) // 2, (width - inner) // 2, inner),
        ):
            found.append(PREPROCESSING(image[:, top : top + length, left : left + length]))
    return np.stack(found)


def main() -> None:
    """Learn the features, and write the file that ships."""
    from striate.progress import RichProgress

    learn_shipped(data_folder("berkeley"), progress=RichProgress()).save(SHIPPED)


if __name__ == "__main__":
    main()
