"""Features of images beside their peers, time and accuracy: python benchmarks/features.py.

The same Caltech-101 images, decoded once, grey, 143×143 behind local contrast normalization; HOG, SIFT and scattering
get the images as they are, at the same size. Two threads for everybody; each peer runs the way that is fastest for
it. Accuracy: logistic regression, its decay by cross-validation, from 15 images a class on 15 others.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from _harness import Harness

from striate import threads
from striate.hierarchy import Hierarchy, learn_filters
from striate.hierarchy.protocols import protocol
from striate.images import Preprocessing, as_images, data_folder, stream
from striate.images.canvas import fit_to_canvas
from striate.images.color import to_grey
from striate.recognition import SoftmaxClassifier
from striate.recognition.metrics import mean_class_accuracy
from striate.recognition.splits import train_test_split_per_class

ONE_STAGE = "64F9x9 - Rabs - N - PA10x10/5"
TWO_STAGES = f"{ONE_STAGE} - 256F9x9:16 - Rabs - N - PA6x6/4"
PREPARED, PLAIN = Preprocessing((151, 151), valid=True), 143
N_A_CLASS = 15
BATCHES = (1, 16)
FORMS = ("contiguous", "channels last")
PAUSE = 0.05  # in which idle threads of the one before fall asleep

Features = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    """Convolutions alone, whole networks, and other people's features."""
    harness = Harness("features", "Features of 143×143 images on a CPU: milliseconds and accuracy.")
    warnings.simplefilter("ignore")
    with threads.limit(2):
        images, labels = pictures()
        prepared = np.concatenate([batch for _, batch in stream(images, PREPARED, batch_size=64, **PREPARED.reading)])
        plain = np.stack([as_is(images.read(index)) for index in range(len(images))])
        train, test = train_test_split_per_class(labels, N_A_CLASS, random_state=0)
        one, two = (
            learn_filters(Hierarchy(notation), prepared[train][::2], learners=protocol(letters), random_state=0)[0]
            for notation, letters in ((ONE_STAGE, "U"), (TWO_STAGES, "UU"))
        )
        ours: dict[str, tuple[Features, np.ndarray]] = {
            "striate, one stage": (one.transform, prepared),
            "striate, two stages": (two.transform, prepared),
        }
        others: dict[str, tuple[Features, np.ndarray]] = {
            "torch, one stage": (eager(one), prepared),
            "torch, two stages": (eager(two), prepared),
            "HOG (scikit-image)": (hog, plain),
            "dense SIFT (OpenCV)": (dense_sift, plain),
            "scattering (kymatio)": (scattering(), plain),
        }
        accuracy = {
            name: judged(transform, data, labels, train, test) for name, (transform, data) in (ours | others).items()
        }
        for batch in BATCHES:
            convolutions = {
                f"torch.conv2d, {form}": convolve(two, batch, form) for form in ("contiguous", "channels last")
            }
            contestants = {
                name: partial(transform, data[:batch]) for name, (transform, data) in (ours | others).items()
            }
            timings = harness.alternate(contestants | convolutions, warm_up=2, pause=PAUSE)
            harness.report(
                f"batch of {batch}",
                timings,
                reference="striate, two stages",
                ms_an_image={name: 1000 * timings.median(name) / batch for name in timings.seconds},
                accuracy=accuracy,
                verdicts=verdicts(timings, batch, accuracy),
                threads=2,
                note="kymatio 0.3.0 with scipy.special.sph_harm, which SciPy no longer has, aliased to import it",
            )
    harness.finish()


def verdicts(timings: Any, batch: int, accuracy: dict[str, float]) -> dict[str, Any]:
    """What was asked, and whether it holds."""
    two = timings.median("striate, two stages")
    layers = min(timings.median(f"torch.conv2d, {form}") for form in FORMS)
    return {
        "two stages, times torch.conv2d on its layers": two / layers,
        "at most 1.5 (batch of 16)": two / layers <= 1.5,
        "two stages, times faster than eager torch": timings.median("torch, two stages") / two,
        "at least 2": timings.median("torch, two stages") >= 2 * two,
        "two stages faster and more accurate than scattering": two < timings.median("scattering (kymatio)")
        and accuracy["striate, two stages"] > accuracy["scattering (kymatio)"],
        "one stage faster than HOG": timings.median("striate, one stage") < timings.median("HOG (scikit-image)"),
        "batch": batch,
    }


def pictures() -> tuple[Any, np.ndarray]:
    """Images of Caltech-101, 30 of each class, and their classes."""
    collection = as_images(data_folder("caltech101"))
    labels = np.unique(np.asarray(collection.labels), return_inverse=True)[1]
    rng = np.random.default_rng(0)
    chosen = np.concatenate(
        [rng.permutation(np.flatnonzero(labels == one))[: 2 * N_A_CLASS] for one in np.unique(labels)]
    )
    return collection.subset(np.sort(chosen)), labels[np.sort(chosen)]


def as_is(image: np.ndarray) -> np.ndarray:
    """Grey, 0–1, (1, 143, 143)."""
    return fit_to_canvas(to_grey(image), (PLAIN, PLAIN))[0]


def judged(transform: Features, data: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray) -> float:
    """Mean per-class accuracy of the classifier that all share."""
    rows = np.concatenate([transform(data[start : start + 16]).reshape(len(data[start : start + 16]), -1)
                           for start in range(0, len(data), 16)])  # fmt: skip
    classifier = SoftmaxClassifier(calibrate=False, random_state=0).fit(rows[train].astype(np.float32), labels[train])
    return mean_class_accuracy(labels[test], classifier.predict(rows[test].astype(np.float32)))


# ---- torch ---------------------------------------------------------------------------------------------------------


def eager(hierarchy: Hierarchy) -> Features:
    """The same network in plain torch."""
    import torch

    twin = hierarchy.to_torch().eval()

    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            features: np.ndarray = twin(torch.from_numpy(images)).numpy()
            return features

    return run


def convolve(hierarchy: Hierarchy, batch: int, form: str) -> Callable[[], Any]:
    """The convolutions of both layers alone, the second dense, with zeros at absent connections."""
    import torch

    memory = torch.channels_last if form == "channels last" else torch.contiguous_format
    first, second = hierarchy.filter_banks
    assert first.filters is not None
    assert second.filters is not None
    assert second.table is not None
    dense = np.zeros((second.n_maps, first.n_maps, *second.size), np.float32)
    dense[np.arange(second.n_maps)[:, None], second.table] = second.filters
    rng = np.random.default_rng(0)
    layers = [
        tuple(torch.from_numpy(array).to(memory_format=memory) for array in pair)
        for pair in (
            (rng.standard_normal((batch, 1, 143, 143), dtype=np.float32), first.filters),
            (rng.standard_normal((batch, 64, 26, 26), dtype=np.float32), dense),
        )
    ]

    def run() -> Any:
        with torch.inference_mode():
            return [torch.conv2d(maps, filters) for maps, filters in layers]

    return run


# ---- other people's features ---------------------------------------------------------------------------------------


def hog(images: np.ndarray) -> np.ndarray:
    """Dalal and Triggs's histograms: 9 orientations, cells of 8×8, blocks of 2×2."""
    from skimage.feature import hog as of_one

    return np.stack([of_one(image[0], cells_per_block=(2, 2), block_norm="L2-Hys") for image in images])


def dense_sift(images: np.ndarray) -> np.ndarray:
    """OpenCV's SIFT of 16×16 patches every 6 pixels, averaged over a grid of 4×4."""
    import cv2

    sift = cv2.SIFT_create()
    positions = range(8, PLAIN - 8 + 1, 6)
    points = [cv2.KeyPoint(float(x), float(y), 16 / 3) for y in positions for x in positions]
    n = len(positions)
    cells = np.arange(n) * 4 // n
    grid = [(row, column) for row in range(4) for column in range(4)]
    result = []
    for image in images:
        found = sift.compute((255 * image[0]).astype(np.uint8), points)[1].reshape(n, n, -1)
        result.append([found[cells == row][:, cells == column].mean(axis=(0, 1)) for row, column in grid])
    return np.array(result, np.float32)


def scattering() -> Features:
    """Kymatio's scattering in torch: J = 4, 8 orientations, second order."""
    import scipy.special

    if not hasattr(scipy.special, "sph_harm"):  # kymatio 0.3.0 imports it for its 3-D front end
        scipy.special.sph_harm = scipy.special.sph_harm_y
    import torch
    from kymatio.torch import Scattering2D

    transform = Scattering2D(J=4, shape=(PLAIN, PLAIN), L=8)

    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return transform(torch.from_numpy(np.ascontiguousarray(images[:, 0]))).numpy()

    return run


if __name__ == "__main__":
    main()
