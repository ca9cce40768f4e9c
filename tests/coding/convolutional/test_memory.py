"""The memory of a code grows with the image and what is active in it, not with the number of maps."""

from __future__ import annotations

import tracemalloc

import numpy as np

from striate import threads
from striate.coding import PreparedFilters, infer_convolutional


def test_memory_has_the_size_of_the_image(rng: np.random.Generator) -> None:
    filters = PreparedFilters(rng.standard_normal((256, 3, 3)).astype(np.float32))
    image = rng.standard_normal((300, 300)).astype(np.float32)
    sparsity = 0.7 * float(np.abs(filters.correlate(image)).max())
    infer_convolutional(image[:20, :20], filters, sparsity, sparse_output=True)  # kernels, and arrays of the filters
    tracemalloc.start()
    try:
        with threads.limit(1):
            codes = infer_convolutional(image, filters, sparsity, sparse_output=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(codes.values) > 100
    # About twenty arrays of the image's size; the certificate's are in double precision.
    assert peak < 25 * image.nbytes
    assert 256 * image.nbytes > 10 * peak
