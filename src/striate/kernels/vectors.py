"""Building blocks of primitives for numba kernels: vector instructions of 64 bytes, loops and addresses in LLVM.

LLVM splits the vectors if the CPU has shorter ones. `simd.py` has the primitives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["I32", "I64", "REFERENCE", "Vectors", "constant", "loop", "pointer", "primitive"]

_BYTES = 64  # per vector

I32, I64 = ir.IntType(32), ir.IntType(64)
REFERENCE: dict[str, Callable[..., Any]] = {}


def primitive(reference: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    """The intrinsic, or its twin in Python if compilation is off."""
    REFERENCE[reference.__name__.lstrip("_")] = reference
    return lambda builder: reference if numba.config.DISABLE_JIT else intrinsic(builder)  # type: ignore[attr-defined]


class Vectors:
    """Vector instructions for one element type."""

    def __init__(self, context: Any, builder: Any, dtype: Any) -> None:
        self.builder = builder
        self.element = context.get_value_type(dtype)
        self.alignment = dtype.bitwidth // 8
        self.length = _BYTES // self.alignment
        self.type = ir.VectorType(self.element, self.length)
        self.suffix = f"v{self.length}f{dtype.bitwidth}"
        self.zero = ir.Constant(self.type, None)

    def load(self, pointer: Any) -> Any:
        """The lanes that begin at a pointer."""
        return self.builder.load(self.builder.bitcast(pointer, self.type.as_pointer()), align=self.alignment)

    def store(self, value: Any, pointer: Any) -> None:
        """Write the lanes to a pointer."""
        self.builder.store(value, self.builder.bitcast(pointer, self.type.as_pointer()), align=self.alignment)

    def repeat(self, scalar: Any) -> Any:
        """One scalar in every lane."""
        undefined = ir.Constant(self.type, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
        everywhere = ir.Constant(ir.VectorType(I32, self.length), [0] * self.length)
        return self.builder.shuffle_vector(first, undefined, everywhere)

    def _call(self, name: str, *arguments: Any) -> Any:
        kind = ir.FunctionType(self.type, [self.type] * len(arguments))
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.{name}.{self.suffix}")
        return self.builder.call(function, arguments)

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """a·b + c, rounded once."""
        return self._call("fma", a, b, c)

    def add_outer(self, column: list[Any], row: Any, sums: list[Any]) -> list[Any]:
        """Add the products of the scalars at the pointers of a column with the vectors from `row` on, row by row."""
        n = len(sums) // len(column)
        vectors = [self.load(self.builder.gep(row, [constant(v * self.length)])) for v in range(n)]
        new = []
        for r, place in enumerate(column):
            value = self.repeat(self.builder.load(place))
            new += [self.multiply_add(value, vector, sums[r * n + v]) for v, vector in enumerate(vectors)]
        return new

    def store_all(self, values: list[Any], pointer: Any) -> None:
        """Write vectors one after another."""
        for v, value in enumerate(values):
            self.store(value, self.builder.gep(pointer, [constant(v * self.length)]))

    def absolute(self, value: Any) -> Any:
        """|value|, lane by lane."""
        return self._call("fabs", value)

    def maximum(self, a: Any, b: Any) -> Any:
        """The larger of a and b, lane by lane."""
        return self.builder.select(self.builder.fcmp_ordered(">", a, b), a, b)

    def reduce(self, value: Any, operation: Callable[[Any, Any], Any]) -> Any:
        """Combine all lanes into one scalar, halves first."""
        undefined, n = ir.Constant(self.type, ir.Undefined), self.length
        while n > 1:
            n //= 2
            turned = ir.Constant(ir.VectorType(I32, self.length), [(i + n) % self.length for i in range(self.length)])
            value = operation(value, self.builder.shuffle_vector(value, undefined, turned))
        return self.builder.extract_element(value, ir.Constant(I32, 0))


def constant(value: int) -> Any:
    """A 64-bit integer of the generated code."""
    return ir.Constant(I64, value)


def loop(builder: Any, start: Any, stop: Any, step: int, carried: list[Any], body: Callable[..., list[Any]]) -> Any:
    """``for i in range(start, stop, step)`` with values that each iteration passes on; returns the last ones."""
    before = builder.block
    head, inside, after = (builder.append_basic_block(name) for name in ("head", "body", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(I64)
    index.add_incoming(start, before)
    values = []
    for value in carried:
        phi = builder.phi(value.type)
        phi.add_incoming(value, before)
        values.append(phi)
    builder.cbranch(builder.icmp_signed("<", index, stop), inside, after)
    builder.position_at_end(inside)
    new = body(index, values)
    index.add_incoming(builder.add(index, constant(step)), builder.block)
    for phi, value in zip(values, new, strict=True):
        phi.add_incoming(value, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return values


def pointer(context: Any, builder: Any, array_type: Any, array: Any, offset: Any = None) -> Any:
    """The address of an array's element: its first, or that at `offset`."""
    data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
    return data if offset is None else builder.gep(data, [offset])
