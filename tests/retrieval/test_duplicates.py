from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from striate.errors import UsageError
from striate.retrieval import near_duplicates, pack_bits


@pytest.mark.kernels
@pytest.mark.parametrize("n_bits", [16, 100, 256])
@pytest.mark.parametrize("threshold", [0, 1, 5, 12])
def test_groups_are_the_connected_components(n_bits: int, threshold: int, rng: np.random.Generator) -> None:
    bits = rng.random((120, n_bits)) > 0.5
    for copy, original in zip(range(60, 110), rng.integers(0, 60, 50), strict=True):
        bits[copy] = bits[original]
        bits[copy, rng.choice(n_bits, rng.integers(0, 9), replace=False)] ^= True
    near = (bits[:, np.newaxis] != bits).sum(axis=2) <= threshold
    _, labels = connected_components(near)
    expected = [np.flatnonzero(labels == label).tolist() for label in dict.fromkeys(labels.tolist())]
    found = near_duplicates(pack_bits(bits), n_bits, threshold)
    assert [group.tolist() for group in found] == [group for group in expected if len(group) > 1]


def test_groups_are_transitive() -> None:
    bits = np.tril(np.ones((9, 32), bool), k=-1)  # each differs by one bit from the next
    (group,) = near_duplicates(pack_bits(bits), 32, 1)
    assert group.tolist() == list(range(9))


def test_many_equal_codes_are_no_trouble() -> None:
    codes = np.zeros((200_000, 4), np.uint64)  # all pairs would be 2·10¹⁰
    (group,) = near_duplicates(codes, 256, 16)
    assert len(group) == 200_000


def test_edges() -> None:
    assert near_duplicates(np.zeros((0, 1), np.uint64), 64, 3) == []
    with pytest.raises(UsageError, match="give 0 to 63"):
        near_duplicates(np.zeros((2, 1), np.uint64), 64, 64)
