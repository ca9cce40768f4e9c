"""Signals and dictionaries that benchmarks of codes share, and how a coder is timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from striate import SparseCoding
from striate.cache_folder import cache_folder

N_SIGNALS = 20_000
PAUSE = 0.15  # seconds between contestants, in which the threads of the last one fall asleep
WORKLOADS = ("64x100", "144x256", "144x1024", "256x512", "784x1000", "500x1000 AR(1)")

Coder = Callable[[np.ndarray], Any]


def workload(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Signals of unit norm and a dictionary that was learned from others like them; kept in the cache."""
    path = cache_folder() / "benchmarks" / f"coding {name}.npz"
    if path.exists():
        with np.load(path) as kept:
            return kept["signals"], kept["dictionary"]
    if name == "500x1000 AR(1)":
        signals, dictionary = correlated()
    else:
        n_features, n_components = (int(number) for number in name.split("x"))
        everything = digits() if n_features == 784 else patches(round(n_features**0.5))
        learner = SparseCoding(n_components, sparsity=0.15, max_batches=500, validation_fraction=0, random_state=0)
        learner.fit(everything[N_SIGNALS:].astype(np.float32))
        signals, dictionary = everything[:N_SIGNALS], learner.components_.astype(np.float64)
        dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, signals=signals, dictionary=dictionary)
    return signals, dictionary


def patches(side: int, n: int = 2 * N_SIGNALS) -> np.ndarray:
    """Natural patches without their means, of unit norm; flat ones are left out."""
    from PIL import Image

    from striate.images import data_folder

    rng = np.random.default_rng(0)
    files = sorted(data_folder("berkeley").glob("train/*.jpg"))
    found = []
    for file in files:
        image = np.asarray(Image.open(file).convert("L"), float) / 255
        for _ in range(-(-13 * n // (10 * len(files)))):
            row, column = rng.integers(0, image.shape[0] - side), rng.integers(0, image.shape[1] - side)
            found.append(image[row : row + side, column : column + side].ravel())
    result = np.array(found)
    result -= result.mean(axis=1, keepdims=True)
    result = result[result.std(axis=1) > 0.02]
    result /= np.linalg.norm(result, axis=1, keepdims=True)
    return rng.permutation(result)[:n]


def digits() -> np.ndarray:
    """MNIST's training digits, of unit norm, in random order."""
    from striate.images import as_images, data_folder

    images = as_images(data_folder("mnist") / "train-images-idx3-ubyte.gz")
    order = np.random.default_rng(0).permutation(len(images))[: 2 * N_SIGNALS]
    result = np.array([images.read(int(index)).ravel() for index in order], float)
    return result / np.linalg.norm(result, axis=1, keepdims=True)


def correlated(n_features: int = 500, n_components: int = 1000, rho: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian units, each a first-order autoregression along its features and along the units."""
    rng = np.random.default_rng(0)
    units = rng.standard_normal((n_components, n_features))
    for k in range(1, n_components):
        units[k] = rho * units[k - 1] + np.sqrt(1 - rho**2) * units[k]
    for j in range(1, n_features):
        units[:, j] = rho * units[:, j - 1] + np.sqrt(1 - rho**2) * units[:, j]
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    codes = rng.standard_normal((N_SIGNALS // 4, n_components)) * (rng.random((N_SIGNALS // 4, n_components)) < 0.03)
    signals = codes @ units
    noise = rng.standard_normal(signals.shape) / np.sqrt(n_features)
    signals += 0.1 * np.linalg.norm(signals, axis=1, keepdims=True) * noise
    return signals / np.linalg.norm(signals, axis=1, keepdims=True), units


def timed(coder: Coder, signals: np.ndarray, repetitions: int) -> float:
    """The shortest time of some calls."""
    seconds = []
    for _ in range(repetitions):
        start = time.perf_counter()
        coder(signals)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def repeated(coder: Coder, signals: np.ndarray, calls: int) -> Callable[[], Any]:
    """A call that codes the signals so many times."""

    def run() -> Any:
        for _ in range(calls):
            codes = coder(signals)
        return codes

    return run


def as_dense(codes: Any) -> np.ndarray:
    """An array, of a sparse matrix as well."""
    return codes.toarray() if hasattr(codes, "toarray") else np.asarray(codes)
