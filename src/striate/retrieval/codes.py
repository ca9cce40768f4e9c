"""Binary codes: bits packed into words of 64, the form in which they are stored and compared."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError

__all__ = ["MAX_BITS", "Codes", "n_words", "pack_bits", "unpack_bits"]

Codes = NDArray[np.uint64]
"""Binary codes, ``(n_samples, n_words)``: bit j is bit ``j % 64`` of word ``j // 64``; bits behind the last are 0."""

MAX_BITS = 4096  # distances stay far within 16 bits


def n_words(n_bits: int) -> int:
    """Words of 64 bits that hold a code.

    Raises
    ------
    UsageError
        When the number of bits is not 1 to 4096.
    """
    if not 1 <= n_bits <= MAX_BITS:
        raise UsageError(f"a code has 1 to {MAX_BITS} bits, not {n_bits}")
    return -(-n_bits // 64)


def pack_bits(bits: NDArray[Any]) -> Codes:
    """Bits as codes.

    Parameters
    ----------
    bits : bool (n_samples, n_bits)
        Other types count as true where they are not 0.

    Returns
    -------
    uint64 (n_samples, n_words)
    """
    n_samples, n_bits = bits.shape
    filled = np.zeros((n_samples, 8 * n_words(n_bits)), np.uint8)
    packed = np.packbits(bits != 0, axis=1, bitorder="little")
    filled[:, : packed.shape[1]] = packed
    return filled.view("<u8").astype(np.uint64, copy=False)


def unpack_bits(codes: Codes, n_bits: int) -> NDArray[np.bool_]:
    """The inverse of `pack_bits`, bool (n_samples, n_bits)."""
    as_bytes = np.ascontiguousarray(codes, "<u8").view(np.uint8)
    return np.unpackbits(as_bytes, axis=1, count=n_bits, bitorder="little").astype(np.bool_)
