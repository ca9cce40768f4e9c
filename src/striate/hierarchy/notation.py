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

_BANK = re.compile(r"(?P<n>[0-9]+)F(?P<height>[0-9]+)x(?P<width>[0-9]+)(?::(?P<fan_in>[0-9]+))?(?P<shrink>S?)")
_NORMALIZATION = re.compile(r"N(?:(?P<size>[0-9]+)x(?P=size))?")
_HIGH_PASS = re.compile(r"HP(?:(?P<size>[0-9]+)x(?P=size))?")
_POOLING = re.compile(r"P(?P<how>[AM])(?P<size>[0-9]+)x(?P=size)/(?P<stride>[0-9]+)")
_SIFT = re.compile(r"SIFT(?P<size>[0-9]+)x(?P=size)/(?P<step>[0-9]+)")
_MACROFEATURES = re.compile(r"MF(?P<size>[0-9]+)x(?P=size)/(?P<step>[0-9]+)")
_CODES = re.compile(r"(?P<n>[0-9]+)SC(?P<sparsity>[0-9]+(?:\.[0-9]+)?)?")
_SEPARATOR = re.compile(r"\s+-\s+|\s*[–—]\s*")

# Longer notation is a slip, and longer numbers are not even tried.
_LONGEST, _MOST_DIGITS = 1000, 9

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
        Quotes the layer that is not understood, or that cannot be, with its position and the grammar.
    """
    if not isinstance(text, str) or not text.strip():
        raise UsageError(f"an architecture is {text!r}: write {GRAMMAR}.")
    if len(text) > _LONGEST:
        raise UsageError(f"an architecture of {len(text):,} characters is too long: write at most {_LONGEST:,}.")
    parts = _SEPARATOR.split(text.strip())
    layers = []
    for number, part in enumerate(parts, 1):
        try:
            layers.append(_parse_layer(part))
        except UsageError as error:
            where = f", layer {number} of {len(parts)}," if len(parts) > 1 else ""
            raise UsageError(f"{part!r}{where} {error}") from None
    return layers


def format_notation(layers: Sequence[Layer]) -> str:
    """The inverse of `parse_notation`."""
    return " - ".join(layer.notation for layer in layers)


def _parse_layer(part: str) -> Layer:
    """A layer; an error goes on from the part that it is about."""
    if not part.isprintable() or max(map(len, re.findall("[0-9]+", part)), default=0) > _MOST_DIGITS:
        raise UsageError(f"is not a layer of a hierarchy: write {GRAMMAR}.")
    try:
        layer = _layer(part)
    except UsageError as error:
        raise UsageError(f"is not possible: {error}") from None
    if layer is None:
        raise UsageError(f"is not a layer of a hierarchy: write {GRAMMAR}.")
    return layer


def _layer(part: str) -> Layer | None:
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
    return None
