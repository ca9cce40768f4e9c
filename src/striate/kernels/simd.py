"""Vector loops of the active-set kernel, written as LLVM instructions.

numba does not vectorize loops over short rows, or adds checks that take longer than the loop. Each primitive here is
emitted as LLVM vector instructions (`vectors.py`) and has a plain NumPy twin beside it, which documents what it
computes. Tests compare the two, and the twin runs if compilation is off. Rows are padded to whole vectors (`LANES`
numbers), so that no loop has a remainder.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from striate.kernels.vectors import I32, I64, Vectors, constant, loop, pointer, primitive

__all__ = ["LANES", "PANEL", "add_scaled", "combine", "dot", "largest", "padded", "panel_product", "select_above"]

LANES = 16  # rows are padded to a multiple of this: one vector of float32, two of float64
_VECTORS = 4  # vectors in the width of a panel
PANEL = {np.dtype(np.float32): 64, np.dtype(np.float64): 32}  # units in a panel of a dictionary


def padded(n: int) -> int:
    """The length of a row of n numbers in whole vectors."""
    return (n + LANES - 1) // LANES * LANES


def _add_scaled(y: np.ndarray, y_at: int, a: float, x: np.ndarray, x_at: int, n: int) -> None:
    """y[y_at : y_at + n] += a · x[x_at : x_at + n]; flat arrays, n in whole vectors."""
    y[y_at : y_at + n] += a * x[x_at : x_at + n]


@primitive(_add_scaled)
def add_scaled(typing: Any, y: Any, y_at: Any, a: Any, x: Any, x_at: Any, n: Any) -> Any:
    """``y[y_at:y_at + n] += a · x[x_at:x_at + n]``."""

    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        to, to_at, factor, source, source_at, count = arguments
        vectors = Vectors(context, builder, y.dtype)
        to = pointer(context, builder, y, to, to_at)
        source = pointer(context, builder, x, source, source_at)
        factors = vectors.repeat(factor)

        def body(i: Any, _: Any) -> list[Any]:
            here = builder.gep(to, [i])
            value = vectors.load(builder.gep(source, [i]))
            vectors.store(vectors.multiply_add(factors, value, vectors.load(here)), here)
            return []

        loop(builder, constant(0), count, vectors.length, [], body)
        return context.get_dummy_value()

    return types.void(y, types.int64, y.dtype, x, types.int64, types.int64), emit


def _dot(x: np.ndarray, x_at: int, y: np.ndarray, y_at: int, n: int) -> Any:
    """x[x_at : x_at + n] · y[y_at : y_at + n]; flat arrays, n in whole vectors."""
    return x.dtype.type(x[x_at : x_at + n] @ y[y_at : y_at + n])


@primitive(_dot)
def dot(typing: Any, x: Any, x_at: Any, y: Any, y_at: Any, n: Any) -> Any:
    """The inner product of two stretches of n numbers."""

    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        one, one_at, other, other_at, count = arguments
        vectors = Vectors(context, builder, x.dtype)
        one, other = pointer(context, builder, x, one, one_at), pointer(context, builder, y, other, other_at)

        def body(i: Any, sums: list[Any]) -> list[Any]:
            a, b = vectors.load(builder.gep(one, [i])), vectors.load(builder.gep(other, [i]))
            return [vectors.multiply_add(a, b, sums[0])]

        (total,) = loop(builder, constant(0), count, vectors.length, [vectors.zero], body)
        return vectors.reduce(total, builder.fadd)

    return x.dtype(x, types.int64, y, types.int64, types.int64), emit


def _combine(
    result: np.ndarray,
    base: np.ndarray,
    sign: float,
    shares: np.ndarray,
    rows: np.ndarray,
    n_rows: int,
    matrix: np.ndarray,
    stride: int,
    n: int,
) -> None:
    """result[:n] = base[:n] + sign · Σᵢ shares[i] · (row rows[i] of a flat matrix); n in whole vectors."""
    total = base[:n].copy()
    for i in range(n_rows):
        start = rows[i] * stride
        total += sign * shares[i] * matrix[start : start + n]
    result[:n] = total


@primitive(_combine)
def combine(
    typing: Any,
    result: Any,
    base: Any,
    sign: Any,
    shares: Any,
    rows: Any,
    n_rows: Any,
    matrix: Any,
    stride: Any,
    n: Any,
) -> Any:
    """``result[:n] = base[:n] + sign · Σᵢ shares[i] · (row rows[i] of a flat matrix)``; n in whole vectors."""

    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        to, source, factor, coefficients, indices, n_terms, flat, distance, count = arguments
        places = [
            pointer(context, builder, kind, array)
            for kind, array in ((result, to), (base, source), (shares, coefficients), (rows, indices), (matrix, flat))
        ]
        # Not inlined: kernels call it at seven places, and its copies took most of the time to compile them.
        values = [*places, factor, n_terms, distance, count]
        name = f"striate.combine.{result.dtype}"
        function = builder.module.globals.get(name)
        if function is None:
            kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
            function = ir.Function(builder.module, kind, name)
            function.linkage = "internal"  # each kernel calls its own
            function.attributes.add("noinline")
            inside = ir.IRBuilder(function.append_basic_block())
            _emit_combine(Vectors(context, inside, result.dtype), *function.args)
            inside.ret_void()
        builder.call(function, values)
        return context.get_dummy_value()

    integer = types.int64
    return types.void(result, base, result.dtype, shares, rows, integer, matrix, integer, integer), emit


def _emit_combine(
    vectors: Vectors,
    to: Any,
    source: Any,
    coefficients: Any,
    indices: Any,
    flat: Any,
    factor: Any,
    n_terms: Any,
    distance: Any,
    count: Any,
) -> None:
    builder = vectors.builder

    def panel(width: int) -> Callable[..., list[Any]]:
        """`width` vectors of the result, which stay in registers over all rows."""

        def body(at: Any, _: Any) -> list[Any]:
            column = builder.gep(flat, [at])
            places = [builder.add(at, constant(w * vectors.length)) for w in range(width)]

            def add_row(i: Any, sums: list[Any]) -> list[Any]:
                row = builder.sext(builder.load(builder.gep(indices, [i])), I64)
                share = vectors.repeat(builder.fmul(factor, builder.load(builder.gep(coefficients, [i]))))
                start = builder.gep(column, [builder.mul(row, distance)])
                loaded = [vectors.load(builder.gep(start, [constant(w * vectors.length)])) for w in range(width)]
                return [vectors.multiply_add(share, value, sums[w]) for w, value in enumerate(loaded)]

            sums = [vectors.load(builder.gep(source, [place])) for place in places]
            sums = loop(builder, constant(0), n_terms, 1, sums, add_row)
            for place, value in zip(places, sums, strict=True):
                vectors.store(value, builder.gep(to, [place]))
            return []

        return body

    start = constant(0)
    for width in (8, 2, 1):
        step = width * vectors.length
        whole = builder.sdiv(builder.sub(count, start), constant(step))
        stop = builder.add(start, builder.mul(whole, constant(step)))
        loop(builder, start, stop, step, [], panel(width))
        start = stop


def _largest(values: np.ndarray, factors: np.ndarray, n: int, positive: bool) -> Any:
    """Max |v| · f of n numbers; with `positive`, max v · f; never below 0."""
    ratios = (values[:n] if positive else np.abs(values[:n])) * factors[:n]
    return values.dtype.type(max(ratios.max(), 0))


@primitive(_largest)
def largest(typing: Any, values: Any, factors: Any, n: Any, positive: Any) -> Any:
    """The largest product of a magnitude and its factor; with `positive`, of a value and its factor; at least 0."""

    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        array, scales, count, one_sided = arguments
        vectors = Vectors(context, builder, values.dtype)
        array, scales = pointer(context, builder, values, array), pointer(context, builder, factors, scales)

        def body(i: Any, best: list[Any]) -> list[Any]:
            value = vectors.load(builder.gep(array, [i]))
            value = builder.select(one_sided, value, vectors.absolute(value))
            return [vectors.maximum(builder.fmul(value, vectors.load(builder.gep(scales, [i]))), best[0])]

        (best,) = loop(builder, constant(0), count, vectors.length, [vectors.zero], body)
        return vectors.reduce(best, vectors.maximum)

    return values.dtype(values, factors, types.int64, types.boolean), emit


def _select_above(
    values: np.ndarray, factors: np.ndarray, n: int, positive: bool, threshold: float, indices: np.ndarray
) -> int:
    """Indices of numbers with |v| · f above a threshold (with `positive`, v · f), ascending, and their number."""
    ratios = (values[:n] if positive else np.abs(values[:n])) * factors[:n]
    found = np.flatnonzero(ratios > threshold)
    indices[: len(found)] = found
    return len(found)


@primitive(_select_above)
def select_above(typing: Any, values: Any, factors: Any, n: Any, positive: Any, threshold: Any, indices: Any) -> Any:
    """Write the ascending indices of the numbers whose products, as in `largest`, exceed a threshold; count them."""

    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        array, scales, count, one_sided, limit, found = arguments
        vectors = Vectors(context, builder, values.dtype)
        array, scales, found = (
            pointer(context, builder, kind, where)
            for kind, where in ((values, array), (factors, scales), (indices, found))
        )
        limits = vectors.repeat(limit)
        mask_type = ir.IntType(vectors.length)
        one, no_bit = ir.Constant(mask_type, 1), ir.Constant(mask_type, 0)
        count_zeros = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(mask_type, [mask_type, ir.IntType(1)]), f"llvm.cttz.i{vectors.length}"
        )

        def body(i: Any, carried: list[Any]) -> list[Any]:
            value = vectors.load(builder.gep(array, [i]))
            value = builder.select(one_sided, value, vectors.absolute(value))
            ratio = builder.fmul(value, vectors.load(builder.gep(scales, [i])))
            mask = builder.bitcast(builder.fcmp_ordered(">", ratio, limits), mask_type)
            before = builder.block
            head, inside, after = (builder.append_basic_block(name) for name in ("bits", "bit", "no_bits"))
            builder.branch(head)
            builder.position_at_end(head)
            left, n_found = builder.phi(mask_type), builder.phi(I64)
            left.add_incoming(mask, before)
            n_found.add_incoming(carried[0], before)
            builder.cbranch(builder.icmp_unsigned("!=", left, no_bit), inside, after)
            builder.position_at_end(inside)
            bit = builder.zext(builder.call(count_zeros, [left, ir.Constant(ir.IntType(1), 1)]), I64)
            builder.store(builder.trunc(builder.add(i, bit), I32), builder.gep(found, [n_found]))
            left.add_incoming(builder.and_(left, builder.sub(left, one)), inside)
            n_found.add_incoming(builder.add(n_found, constant(1)), inside)
            builder.branch(head)
            builder.position_at_end(after)
            return [n_found]

        return loop(builder, constant(0), count, vectors.length, [constant(0)], body)[0]

    return types.int64(values, factors, types.int64, types.boolean, values.dtype, indices), emit


def _panel_product(
    result: np.ndarray,
    result_at: int,
    result_stride: int,
    signals: np.ndarray,
    signals_at: int,
    signals_stride: int,
    panels: np.ndarray,
    panel_at: int,
    n_features: int,
    n_signals: int,
) -> None:
    """Products of some signals with a panel of units, on flat arrays; six signals at a time, then one by one.

    A panel holds the units' first features, then their second, and so on (`PreparedDictionary`).
    """
    width = PANEL[result.dtype]
    panel = panels[panel_at : panel_at + n_features * width].reshape(n_features, width)
    for s in range(n_signals):
        start, to = signals_at + s * signals_stride, result_at + s * result_stride
        result[to : to + width] = signals[start : start + n_features] @ panel


@primitive(_panel_product)
def panel_product(
    typing: Any,
    result: Any,
    result_at: Any,
    result_stride: Any,
    signals: Any,
    signals_at: Any,
    signals_stride: Any,
    panels: Any,
    panel_at: Any,
    n_features: Any,
    n_signals: Any,
) -> Any:
    """Products of signals with a panel of units, on flat arrays; see the reference above."""

    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        to, to_at, to_stride, source, source_at, source_stride, flat, flat_at, n_terms, count = arguments
        vectors = Vectors(context, builder, result.dtype)
        to = pointer(context, builder, result, to, to_at)
        source = pointer(context, builder, signals, source, source_at)
        flat = pointer(context, builder, panels, flat, flat_at)
        width = _VECTORS * vectors.length

        def tile(n_rows: int) -> Callable[..., list[Any]]:
            """All products of `n_rows` signals, in registers: 24 vectors of sums, 4 of the panel, 1 of a signal."""

            def body(first: Any, _: Any) -> list[Any]:
                rows = [
                    builder.gep(source, [builder.mul(builder.add(first, constant(r)), source_stride)])
                    for r in range(n_rows)
                ]

                def add_feature(f: Any, sums: list[Any]) -> list[Any]:
                    numbers = [builder.gep(row, [f]) for row in rows]
                    return vectors.add_outer(numbers, builder.gep(flat, [builder.mul(f, constant(width))]), sums)

                sums = loop(builder, constant(0), n_terms, 1, [vectors.zero] * (n_rows * _VECTORS), add_feature)
                for r in range(n_rows):
                    row = builder.gep(to, [builder.mul(builder.add(first, constant(r)), to_stride)])
                    vectors.store_all(sums[r * _VECTORS : (r + 1) * _VECTORS], row)
                return []

            return body

        whole = builder.mul(builder.sdiv(count, constant(6)), constant(6))
        loop(builder, constant(0), whole, 6, [], tile(6))
        loop(builder, whole, count, 1, [], tile(1))
        return context.get_dummy_value()

    integer = types.int64
    signature = types.void(result, integer, integer, signals, integer, integer, panels, integer, integer, integer)
    return signature, emit
