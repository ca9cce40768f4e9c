"""The papers' notation: ``64F9x9 - Rabs - N - PA10x10/5``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from striate.errors import UsageError
from striate.hierarchy._layer import Layer
from striate.hierarchy.dense_sift import DenseSIFT
from striate.hierarchy.filter_bank import FilterBank
from striate.hierarchy.high_pass import HighPass
from striate.hierarchy.macrofeatures import Macrofeatures
from striate.hierarchy.normalization import LocalContrastNormalization
from striate.hierarchy.pooling import Pooling
from striate.hierarchy.pyramid_pooling import PyramidPooling
from striate.hierarchy.rectification import Rectification
from striate.hierarchy.sparse_codes import YANG, SparseCodes

_BANK = re.compile(r"(?P<n>\d+)F(?P<height>\d+)x(?P<width>\d+)(?::(?P<fan_in>\d+))?(?P<shrink>S?)")
_NORMALIZATION = re.compile(r"N(?:(?P<size>\d+)x(?P=size))?")
_HIGH_PASS = re.compile(r"HP(?:(?P<size>\d+)x(?P=size))?")
_POOLING = re.compile(r"P(?P<how>[AM])(?P<size>\d+)x(?P=size)/(?P<stride>\d+)")
_SIFT = re.compile(r"SIFT(?P<size>\d+)x(?P=size)/(?P<step>\d+)")
_MACROFEATURES = re.compile(r"MF(?P<size>\d+)x(?P=size)/(?P<step>\d+)")
_CODES = re.compile(r"(?P<n>\d+)SC(?P<sparsity>\d+(?:\.\d+)?)?")

GRAMMAR = (
    "64F9x9 (64 filters of 9x9; 256F9x9:16 when each sees 16 maps; S after it for shrinkage), "
    "Rabs, HP or HP7x7, N or N7x7, PA10x10/5 or PM10x10/5, SIFT16x16/6, MF2x2/1, 1024SC, "
    f"{PyramidPooling.notation}, joined by ' - '"
)


def parse_notation(text: str) -> list[Layer]:
    """Layers, without filters yet, from the papers' notation.

    >>> [layer.notation for layer in parse_notation("64F9x9 - Rabs - N - PA10x10/5")]
    ['64F9x9', 'Rabs', 'N', 'PA10x10/5']

    Raises
    ------
    UsageError
        Names the part that is not understood, and the grammar.
    """
    return [_parse_layer(part) for part in re.split(r"\s+-\s+|\s*[–—]\s*", text.strip())]


def format_notation(layers: Sequence[Layer]) -> str:
    """The inverse of `parse_notation`."""
    return " - ".join(layer.notation for layer in layers)


def _parse_layer(part: str) -> Layer:
    if part == "Rabs":
        return Rectification()
    if match := _BANK.fullmatch(part):
        return FilterBank(
            n_maps=int(match["n"]),
            size=(int(match["height"]), int(match["width"])),
            fan_in=int(match["fan_in"]) if match["fan_in"] else None,
            nonlinearity="shrink" if match["shrink"] else "tanh",
        )
    if match := _NORMALIZATION.fullmatch(part):
        return LocalContrastNormalization(size=int(match["size"] or 9))
    if match := _HIGH_PASS.fullmatch(part):
        return HighPass(size=int(match["size"] or 9))
    if match := _POOLING.fullmatch(part):
        return Pooling("average" if match["how"] == "A" else "max", int(match["size"]), int(match["stride"]))
    if match := _SIFT.fullmatch(part):
        return DenseSIFT(int(match["size"]), int(match["step"]))
    if match := _MACROFEATURES.fullmatch(part):
        return Macrofeatures(int(match["size"]), int(match["step"]))
    if match := _CODES.fullmatch(part):
        return SparseCodes(int(match["n"]), float(match["sparsity"] or YANG))
    if part == PyramidPooling.notation:
        return PyramidPooling()
    raise UsageError(f"{part!r} is not a layer of a hierarchy: write {GRAMMAR}.")
