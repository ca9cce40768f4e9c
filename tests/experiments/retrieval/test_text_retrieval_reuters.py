from __future__ import annotations

import numpy as np

from striate.experiments.retrieval.text_retrieval_reuters import RETRIEVED, precisions


def test_precisions_are_those_of_a_loop(rng: np.random.Generator) -> None:
    codes = rng.standard_normal((20, 3))
    topics = rng.random((20, 4)) < 0.3
    topics[np.arange(20), rng.integers(4, size=20)] = True
    unit = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    found = np.zeros((20, len(RETRIEVED)))
    for query in range(20):
        others = sorted((other for other in range(20) if other != query), key=lambda other: -unit[query] @ unit[other])
        for place, number in enumerate(RETRIEVED):
            found[query, place] = np.mean([(topics[query] & topics[other]).any() for other in others[:number]])
    measured = precisions(codes, topics)
    np.testing.assert_allclose(measured["per query"], found.mean(axis=0))
    np.testing.assert_allclose(measured["macro"], np.mean([found[has].mean(axis=0) for has in topics.T], axis=0))
