"""The step of a greedy pursuit as LLVM vector instructions: update correlations, and find the best unit.

A separate pass for each, with a division and a square root for each unit, took as long as everything else.
Fractions are compared by multiplying them out, so that there is neither.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from striate.kernels.vectors import I32, I64, Vectors, constant, loop, pointer, primitive

__all__ = ["choose"]


def _choose(
    q: np.ndarray,
    part: np.ndarray,
    step: float,
    rest: np.ndarray,
    share: float,
    floors: np.ndarray,
    n: int,
    positive: bool,
) -> int:
    """The index of the largest q² / rest, or −1, after q −= step · part and rest −= share · part²; n in whole vectors.

    Only units with rest > floors and q ≠ 0 (with `positive`, q > 0) count. Of equal ones the first is taken.
    """
    q[:n] -= q.dtype.type(step) * part[:n]
    rest[:n] -= q.dtype.type(share) * part[:n] ** 2
    counts = (rest[:n] > floors[:n]) & ((q[:n] > 0) if positive else (q[:n] != 0))
    if not counts.any():
        return -1
    return int(np.argmax(np.where(counts, q[:n] ** 2 / np.where(counts, rest[:n], 1), 0)))


def _better(builder: Any, one: list[Any], other: list[Any]) -> list[Any]:
    """Of two fractions, q², rest and index each, the larger one; of equal ones, that with the lower index."""
    (square, rest, where), (other_square, other_rest, other_where) = one, other
    ours, theirs = builder.fmul(square, other_rest), builder.fmul(other_square, rest)
    is_other = builder.or_(
        builder.fcmp_ordered("<", ours, theirs),
        # A lane without a unit has the index −1, which is the largest without its sign.
        builder.and_(builder.fcmp_ordered("==", ours, theirs), builder.icmp_unsigned("<", other_where, where)),
    )
    return [builder.select(is_other, theirs, ours) for ours, theirs in zip(one, other, strict=True)]


@primitive(_choose)
def choose(typing: Any, q: Any, part: Any, step: Any, rest: Any, share: Any, floors: Any, n: Any, positive: Any) -> Any:
    """Update correlations and what is left of squared norms, and find the best unit; see the reference above."""

    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        to, newest, length, left, per_square, lowest, count, one_sided = arguments
        vectors = Vectors(context, builder, q.dtype)
        to, newest, left, lowest = (
            pointer(context, builder, kind, array)
            for kind, array in ((q, to), (part, newest), (rest, left), (floors, lowest))
        )
        lengths = vectors.repeat(builder.fneg(length))
        per_squares = vectors.repeat(builder.fneg(per_square))
        index = ir.IntType(q.dtype.bitwidth)
        integers = ir.VectorType(index, vectors.length)
        ones = ir.Constant(vectors.type, [1.0] * vectors.length)

        def body(i: Any, carried: list[Any]) -> list[Any]:
            best, of_best, where, here = carried
            direction = vectors.load(builder.gep(newest, [i]))
            value = vectors.multiply_add(lengths, direction, vectors.load(builder.gep(to, [i])))
            vectors.store(value, builder.gep(to, [i]))
            square = builder.fmul(direction, direction)
            remaining = vectors.multiply_add(per_squares, square, vectors.load(builder.gep(left, [i])))
            vectors.store(remaining, builder.gep(left, [i]))
            value = builder.select(one_sided, vectors.maximum(value, vectors.zero), value)
            square = builder.fmul(value, value)
            is_better = builder.and_(
                builder.fcmp_ordered(">", builder.fmul(square, of_best), builder.fmul(best, remaining)),
                builder.fcmp_ordered(">", remaining, vectors.load(builder.gep(lowest, [i]))),
            )
            return [
                builder.select(is_better, square, best),
                builder.select(is_better, remaining, of_best),
                builder.select(is_better, here, where),
                builder.add(here, ir.Constant(integers, [vectors.length] * vectors.length)),
            ]

        start = [
            vectors.zero,
            ones,
            ir.Constant(integers, [-1] * vectors.length),
            ir.Constant(integers, list(range(vectors.length))),
        ]
        *lanes, _ = loop(builder, constant(0), count, vectors.length, start, body)
        # In scalars, pair by pair: LLVM 20 compiles the same on vectors to wrong code for float64.
        left_over = [
            [builder.extract_element(lane, ir.Constant(I32, i)) for lane in lanes] for i in range(vectors.length)
        ]
        while len(left_over) > 1:
            left_over = [_better(builder, *pair) for pair in zip(left_over[::2], left_over[1::2], strict=True)]
        where = left_over[0][2]
        return where if index == I64 else builder.sext(where, I64)

    real, integer = q.dtype, types.int64
    return integer(q, part, real, rest, real, floors, integer, types.boolean), emit
