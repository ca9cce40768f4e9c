"""Calls every kernel of striate, through public functions, and prints a digest of each result: see test_kernels."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from striate import (
    KSVD,
    PSD,
    RBM,
    ConvolutionalPSD,
    ConvolutionalSparseCoding,
    LocalFields,
    SparseCoding,
    infer,
    kernels,
)
from striate.coding import Sheet, fista, infer_topographic, infer_until, regularization_path
from striate.hierarchy import Hierarchy, learn_filters
from striate.hierarchy._trained_stage import Together, pass_back, pass_on
from striate.learning import DeepAutoencoder, RandomFilters
from striate.recognition.pyramid_match import intersection_kernel
from striate.retrieval import near_duplicates, nearest_codes


def results() -> Iterator[tuple[str, Any]]:
    """Names and arrays."""
    rng = np.random.default_rng(4)
    units = rng.standard_normal((30, 20))
    units[20:] = units[:10]
    units[15] = 0.5 * units[0] + 0.5 * units[1]
    signals = rng.standard_normal((50, 20))
    binary = (signals > 0).astype(float)
    for real in (np.float32, np.float64):
        x, d = signals.astype(real), units.astype(real)
        for method in (
            "active_set",
            "coordinate_descent",
            "feature_sign",
            "homotopy",
            "greedy_descent",
            "fista",
            "ista",
        ):
            yield f"{method} {real.__name__}", infer(x, d, 0.3, method=method)
        yield f"fista {real.__name__}", fista(x, d, 0.3)
        yield f"infer_until {real.__name__}", infer_until(x, d, max_nonzero=3)
        yield f"omp {real.__name__}", infer_until(x, d, method="omp", max_nonzero=3)
        yield f"positive omp {real.__name__}", infer_until(x, d, method="omp", max_nonzero=3, positive=True)
        yield f"path {real.__name__}", regularization_path(x[0], d).codes
        sheet = Sheet((6, 5), (3, 2), 1)
        yield f"topographic {real.__name__}", infer_topographic(x, d, sheet, 0.3)
        yield f"spread {real.__name__}", sheet.spread(sheet.pool(np.matmul(x, d.T)))
        learner = SparseCoding(12, sparsity=0.5, max_batches=4, random_state=0).fit(x)
        yield f"dictionary {real.__name__}", learner.components_
        yield f"K-SVD {real.__name__}", KSVD(12, max_nonzero=2, n_epochs=3, random_state=0).fit(x).components_
        for encoder in ("tanh", "shrinkage", "lista", "lcod"):
            psd = PSD(8, encoder=encoder, max_batches=4, random_state=0).fit(x)
            yield f"PSD {encoder} {real.__name__}", psd.transform(x)
        yield f"RBM {real.__name__}", RBM(6, n_epochs=2, random_state=0).fit(binary.astype(real)).components_
        deep = DeepAutoencoder((6, 2), n_epochs=2, random_state=0).fit(binary.astype(real))
        yield f"autoencoder {real.__name__}", deep.transform(binary.astype(real))
    images = rng.random((3, 1, 40, 40)).astype(np.float32)
    learner = ConvolutionalSparseCoding(4, 5, max_batches=3, random_state=0).fit(images)
    yield "convolutional dictionary", learner.components_
    for real in (np.float32, np.float64):
        of_images = ConvolutionalPSD(4, 5, max_batches=3, random_state=0).fit(images.astype(real))
        yield f"convolutional PSD {real.__name__}", of_images.components_
        fields = LocalFields(6, 5, max_batches=3, random_state=0).fit(images.astype(real))
        yield f"local fields {real.__name__}", fields.transform(images.astype(real))
    for notation in ("8F5x5 - Rabs - N5x5 - PA4x4/4", "8F5x5 - N5x5 - PM4x4/4"):
        hierarchy, _ = learn_filters(
            Hierarchy(notation), images, learners=RandomFilters(8, random_state=0), n_patches=100, random_state=0
        )
        yield notation, hierarchy.transform(images)
    responses = rng.standard_normal((2, 12, 11, 5), dtype=np.float32)
    pooled, passed = pass_on(responses, responses[0, 0, 0].copy(), responses[1, 0, 0].copy(), Together(True, 5, 4, 2))
    yield "stage in training", np.concatenate([pooled.ravel(), *map(np.ravel, pass_back(np.cos(pooled), passed))])
    psd = PSD(max_batches=3, random_state=0)
    hierarchy, _ = learn_filters(Hierarchy("8F5x5SS - N5x5"), images, learners=psd, n_patches=100, random_state=0)
    yield "smooth shrinkage", hierarchy.transform(images)
    for notation in ("8WP5x5 - GA3", "8WP5x5/2T - GM2"):
        hierarchy, _ = learn_filters(Hierarchy(notation), images, learners=(), n_patches=100, random_state=0)
        yield notation, hierarchy.transform(images)
    histograms = np.square(signals, dtype=np.float32)
    yield "intersection", intersection_kernel(histograms[:9], histograms[9:])
    codes = rng.integers(0, 2**63, (200, 1), dtype=np.uint64)
    yield "search", nearest_codes(codes[:5], codes, 3).rows
    yield "duplicates", np.concatenate(near_duplicates(np.concatenate([codes, codes ^ 5]), 64, 14))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    kernels.compile_all()
    for name, array in results():
        print(name, hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16])
