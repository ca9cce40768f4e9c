"""The digits that ship with the package."""

from __future__ import annotations

import lzma
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

N_DIGITS = 5000
SIDE = 28


def load_mnist_digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """5,000 handwritten digits, 500 of each class, from the training set of MNIST.

    They need no download. Origin and licence (CC BY-SA 3.0) are in ``striate/images/data/README.md``.

    Returns
    -------
    images : float32 (5000, 1, 28, 28)
        0 is background, 1 is ink.
    labels : int64 (5000,)
        Sorted: the first 500 are zeros. For a few images per class, take every tenth, ``images[::10]``, not the first
        ones.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 86, 1998.

    Examples
    --------
    >>> images, labels = load_mnist_digits()
    >>> images.shape, labels[::1000].tolist()
    ((5000, 1, 28, 28), [0, 2, 4, 6, 8])
    """
    packed = files("striate.images").joinpath("data", "mnist-5000.xz").read_bytes()
    values = np.frombuffer(lzma.decompress(packed), dtype=np.uint8)
    labels, pixels = values[:N_DIGITS], values[N_DIGITS:]
    images = pixels.reshape(N_DIGITS, 1, SIDE, SIDE).astype(np.float32) / np.float32(255)
    return images, labels.astype(np.int64)
