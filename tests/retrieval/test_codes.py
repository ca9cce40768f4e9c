from __future__ import annotations

import numpy as np
import pytest

from striate.errors import UsageError
from striate.retrieval import pack_bits, unpack_bits


@pytest.mark.parametrize("n_bits", [1, 16, 63, 64, 65, 100, 256, 512])
def test_bits_come_back_and_the_rest_is_zero(n_bits: int, rng: np.random.Generator) -> None:
    bits = rng.random((7, n_bits)) > 0.5
    codes = pack_bits(bits)
    assert codes.dtype == np.uint64
    assert codes.shape == (7, -(-n_bits // 64))
    np.testing.assert_array_equal(unpack_bits(codes, n_bits), bits)
    assert [sum(int(word).bit_count() for word in row) for row in codes] == bits.sum(axis=1).tolist()


def test_a_bit_has_its_place() -> None:
    bits = np.zeros((1, 130), bool)
    bits[0, [0, 65, 129]] = True
    assert pack_bits(bits).tolist() == [[1, 2, 2]]


def test_codes_have_a_length() -> None:
    with pytest.raises(UsageError, match="1 to 4096 bits"):
        pack_bits(np.zeros((2, 0), bool))
