"""Binary codes: bits packed into words of 64 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.parameters import Integer, checked
from striate.samples import is_sparse, kernel_array

__all__ = ["MAX_BITS", "Codes", "as_codes", "n_words", "pack_bits", "unpack_bits"]

Codes = NDArray[np.uint64]
"""Binary codes, ``(n_samples, n_words)``: bit j is bit ``j % 64`` of word ``j // 64``; bits after the last are 0."""

MAX_BITS = 4096  # distances fit into 16 bits


def as_codes(values: Any, *, name: str = "codes") -> Codes:
    """Codes in a form for the kernels, from arrays of any layout and byte order, also read-only and memory-mapped ones.

    Parameters
    ----------
    values : uint64 (n_samples, n_words)
        Other unsigned integers and int64 are taken as the same bits.
    name : str
        Name of the codes in messages.

    Raises
    ------
    UsageError
        For anything else, such as bits that were not packed.
    """
    array = values if is_sparse(values) else np.asarray(values)
    if is_sparse(values) or array.ndim != 2 or not (array.dtype.kind == "u" or array.dtype.newbyteorder("=") == "i8"):
        what = "a sparse matrix" if is_sparse(values) else f"{array.dtype} of shape {array.shape}"
        raise UsageError(f"{name} are {what}, and packed bits are needed, uint64 (n, n_words): see pack_bits")
    return kernel_array(array, np.dtype(np.uint64))


def n_words(n_bits: int) -> int:
    """The number of words of 64 bits that hold a code.

    Raises
    ------
    UsageError
        If the number of bits is not 1 to 4096.
    """
    n: int = checked("n_bits", n_bits, Integer())
    if not 1 <= n <= MAX_BITS:
        raise UsageError(f"a code has 1 to {MAX_BITS} bits, not {n}")
    return -(-n // 64)


def pack_bits(bits: NDArray[Any]) -> Codes:
    """Pack bits into codes.

    Parameters
    ----------
    bits : bool (n_samples, n_bits)
        Other types count as true where they are not 0.

    Returns
    -------
    uint64 (n_samples, n_words)
    """
    bits = np.asarray(bits)
    if bits.ndim != 2 or bits.dtype.kind not in "biuf":
        raise UsageError(f"bits are {bits.dtype} of shape {bits.shape}, and a table (n_samples, n_bits) is needed")
    n_samples, n_bits = bits.shape
    filled = np.zeros((n_samples, 8 * n_words(n_bits)), np.uint8)
    packed = np.packbits(bits != 0, axis=1, bitorder="little")
    filled[:, : packed.shape[1]] = packed
    return filled.view("<u8").astype(np.uint64, copy=False)


def unpack_bits(codes: Codes, n_bits: int) -> NDArray[np.bool_]:
    """The inverse of `pack_bits`, bool (n_samples, n_bits)."""
    codes = as_codes(codes)
    if n_words(n_bits) != codes.shape[1]:
        raise UsageError(f"codes of {codes.shape[1]} words do not hold {n_bits} bits each: give their number of bits")
    as_bytes = np.ascontiguousarray(codes, "<u8").view(np.uint8)
    return np.unpackbits(as_bytes, axis=1, count=n_bits, bitorder="little").astype(np.bool_)
