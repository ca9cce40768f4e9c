"""The image sets of `live-learning`: pictures of objects, as the frames that a page would send of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.experiments.engine.unit import Context
from striate.images import ImageCollection, as_images, load_mnist_digits, to_rgb
from striate.live import encode_frame

__all__ = ["DEVELOPMENT", "SETS", "Drawn", "Shown", "draw_objects", "load_shown"]

DEVELOPMENT = (0, 1, 2)
"""Seeds of the draws with which features and novelty were chosen."""

N_DRAWN = 30  # objects of a development draw, of which the first ten were known


class Shown(NamedTuple):
    """The frames of a set.

    Attributes
    ----------
    images : ImageCollection
    objects : int64 (n,)
        What each image shows, from 0 without a gap.
    """

    images: ImageCollection
    objects: NDArray[np.int64]

    def frame(self, index: int, *, gain: float = 1.0) -> bytes:
        """The JPEG that a page would send; `gain` changes the light."""
        return encode_frame(np.float32(gain) * to_rgb(self.images.read(index, color=True)))


class Drawn(NamedTuple):
    """What a draw shows.

    Attributes
    ----------
    samples : int64 (n_known, n_samples)
        Frames of each known object, of which the first are added.
    tests : int64 (n_tests,)
        Other frames of the known objects.
    truth : int64 (n_tests,)
        Which of the known objects they show.
    foreign : int64 (n_foreign,)
        Frames of objects that are never shown before.
    """

    samples: NDArray[np.int64]
    tests: NDArray[np.int64]
    truth: NDArray[np.int64]
    foreign: NDArray[np.int64]


def draw_objects(
    objects: NDArray[np.int64], seed: int, *, n_known: int, n_foreign: int, n_samples: int, n_tests: int
) -> Drawn:
    """Draw known and foreign objects, none of which was known in a development draw, and frames of them.

    Parameters
    ----------
    objects : int64 (n,)
    seed : int
    n_known, n_foreign : int
        Objects.
    n_samples, n_tests : int
        Frames of each known object, and up to so many others; a quarter of those of each foreign one.
    """
    n_objects = int(objects.max()) + 1
    seen = np.concatenate([_known_in_development(n_objects, n_known, other) for other in DEVELOPMENT])
    rng = np.random.default_rng(seed)
    left = np.setdiff1d(np.arange(n_objects), seen) if n_objects > N_DRAWN else np.arange(n_objects)
    chosen = rng.choice(left, n_known + n_foreign, replace=False)
    samples, tests, truth = [], [], []
    for place, known in enumerate(chosen[:n_known]):
        frames = rng.permutation(np.flatnonzero(objects == known))
        samples.append(frames[:n_samples])
        tests.append(frames[n_samples : n_samples + n_tests])
        truth.append(np.full(len(tests[-1]), place))
    n_each = max(1, n_tests // 4)
    foreign = [rng.permutation(np.flatnonzero(objects == other))[:n_each] for other in chosen[n_known:]]
    return Drawn(np.stack(samples), np.concatenate(tests), np.concatenate(truth), np.concatenate(foreign))


def _known_in_development(n_objects: int, n_known: int, seed: int) -> NDArray[np.int64]:
    if n_objects < N_DRAWN:
        return np.zeros(0, np.int64)
    return np.random.default_rng(seed).choice(n_objects, N_DRAWN, replace=False)[:n_known]


def load_shown(name: str, context: Context) -> Shown:
    """Read a set.

    Parameters
    ----------
    name : str
        A key of `SETS`.
    context : Context
    """
    images, names = SETS[name](context)
    return Shown(images.with_labels(None), np.unique(names, return_inverse=True)[1].astype(np.int64))


Read = tuple[ImageCollection, NDArray[np.str_]]


def _digits(context: Context) -> Read:
    images, labels = load_mnist_digits()
    return as_images(images[::25]), labels[::25].astype(str)


def _turntable(context: Context) -> Read:
    with np.load(context.data("coil100") / "coil100-64x64.npz") as found:
        return as_images(found["images"]), found["object"].astype(str)


def _photographs(context: Context) -> Read:
    """All classes but that of clutter."""
    images = as_images(context.data("caltech101"))
    names = np.asarray(images.labels)
    kept = np.flatnonzero(names != "BACKGROUND_Google")
    return images.subset(kept), names[kept]


SETS: Mapping[str, Callable[[Context], Read]] = {
    "digits": _digits,
    "COIL-100": _turntable,
    "Caltech-101": _photographs,
}
