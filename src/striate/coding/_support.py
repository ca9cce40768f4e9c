"""The inverse of the Gram matrix of a few active units, updated when units join and leave.

Rows are padded with zeros to whole vectors. Each change reads and writes the inverse twice.
"""

from __future__ import annotations

from typing import Any

from striate.kernels import inlined
from striate.kernels.simd import LANES, add_scaled, combine, dot, padded

__all__ = ["join", "padded_length", "remove"]

padded_length = inlined(padded)


@inlined
def remove(i: Any, n: Any, inverse: Any, support: Any, code: Any, signs: Any, place: Any) -> Any:
    """Remove the i-th unit from the support of n; the last one takes its place."""
    flat = inverse.reshape(-1)
    stride = inverse.shape[1]
    width = padded_length(n)
    scale = 1 / inverse[i, i]
    for row in range(n):
        if row != i:
            add_scaled(flat, row * stride, -inverse[row, i] * scale, flat, i * stride, width)
    last = n - 1
    place[support[i]] = -1
    if i != last:
        for column in range(width):
            inverse[i, column] = inverse[last, column]
        for row in range(last):
            inverse[row, i] = inverse[row, last]
        inverse[i, i] = inverse[last, last]
        support[i] = support[last]
        code[i] = code[last]
        signs[i] = signs[last]
        place[support[i]] = i
    for row in range(n):
        inverse[row, last] = 0
    for column in range(width):
        inverse[last, column] = 0
    code[last] = 0
    signs[last] = 0
    return last


@inlined
def join(
    unit: Any, sign: Any, value: Any, n: Any, row: Any, products: Any, change: Any, inverse: Any, inverse_rows: Any,
    zeros: Any, least: Any, support: Any, code: Any, signs: Any, place: Any,
) -> Any:  # fmt: skip
    """Add a unit to the inverse, unless it is a combination of those in the support; return whether it was added."""
    flat = inverse.reshape(-1)
    stride = inverse.shape[1]
    width = padded_length(n)
    combine(change, zeros, 1, products, inverse_rows, n, flat, stride, width)
    rest = row[unit] - dot(products, 0, change, 0, width)
    if not rest > least * row[unit]:
        return False
    scale = 1 / rest
    for other in range(n):
        add_scaled(flat, other * stride, scale * change[other], change, 0, width)
    for column in range(width):
        inverse[n, column] = -scale * change[column]
    for column in range(width, width + LANES):
        inverse[n, column] = 0
    for other in range(n):
        inverse[other, n] = -scale * change[other]
    inverse[n, n] = scale
    if n % LANES == 0:  # the rows grow by a vector
        for other in range(n):
            for column in range(n + 1, n + LANES):
                inverse[other, column] = 0
    support[n] = unit
    signs[n] = sign
    code[n] = value
    place[unit] = n
    return True
