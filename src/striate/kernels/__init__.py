"""Compiled kernels: how they are compiled, and the primitives, products and squashing functions that folders share."""

from striate.kernels.compiling import FAST_MATH, announce, compile_all, compiled, compiler, inlined

__all__ = ["FAST_MATH", "announce", "compile_all", "compiled", "compiler", "inlined"]
