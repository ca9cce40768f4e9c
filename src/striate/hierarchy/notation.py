"""The papers' notation: ``64F9x9 - Rabs - N - PA10x10/5``; paths are in braces, ``{A - B | C}``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from striate.errors import UsageError
from striate.hierarchy.layer import LAYERS, Layer

_SEPARATOR = re.compile(r"\s+-\s+|\s*[–—]\s*")

# Longer notation is a mistake, and longer numbers are not parsed.
_LONGEST, _MOST_DIGITS = 1000, 9
# More paths inside paths are a mistake, and would end in Python's limit of recursion.
_DEEPEST = 8


def parse_notation(text: str) -> list[Layer]:
    """Layers, without filters yet, from the papers' notation.

    >>> [layer.notation for layer in parse_notation("64F9x9 - Rabs - N - PA10x10/5")]
    ['64F9x9', 'Rabs', 'N', 'PA10x10/5']

    Raises
    ------
    UsageError
        If a layer is not understood or not possible; the message quotes it, with its position and the grammar.
    """
    if not isinstance(text, str) or not text.strip():
        raise UsageError(f"an architecture is {text!r}: {_advice()}")
    if len(text) > _LONGEST:
        raise UsageError(f"an architecture of {len(text):,} characters is too long: write at most {_LONGEST:,}.")
    parts = split_outside_braces(text.strip(), _SEPARATOR)
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


def split_outside_braces(text: str, separator: re.Pattern[str]) -> list[str]:
    """The parts of a text between separators that are not inside braces.

    Raises
    ------
    UsageError
        If a brace has no partner, or braces are nested too deeply; the message says at which character.
    """
    opened: list[int] = []
    cuts = [0]
    place = 0
    while place < len(text):
        if text[place] == "{":
            opened.append(place)
            if len(opened) > _DEEPEST:
                raise UsageError(f"{text!r} has more than {_DEEPEST} braces inside each other: write fewer")
        elif text[place] == "}":
            if not opened:
                raise UsageError(f"{text!r} closes a brace at character {place + 1} that was not opened: remove it")
            opened.pop()
        elif not opened and (match := separator.match(text, place)):
            cuts += [place, match.end()]
            place = match.end()
            continue
        place += 1
    if opened:
        raise UsageError(f"{text!r} opens a brace at character {opened[-1] + 1} that is not closed: add '}}'")
    cuts.append(len(text))
    return [text[start:end] for start, end in zip(cuts[::2], cuts[1::2], strict=True)]


def _advice() -> str:
    layers = ", ".join(layer.examples for layer in LAYERS.values())
    return f"write 64F9x9 - Rabs - N - PA10x10/5, or other layers joined by ' - ': {layers}."


def _parse_layer(part: str) -> Layer:
    """A layer; the message of an error continues the quotation of the part that is wrong."""
    if part.isprintable() and max(map(len, re.findall("[0-9]+", part)), default=0) <= _MOST_DIGITS:
        for layer in LAYERS.values():
            if match := re.fullmatch(layer.grammar, part):
                try:
                    return layer.from_notation(match)
                except UsageError as error:
                    raise UsageError(f"is not possible: {error}") from None
    raise UsageError(f"is not a layer of a hierarchy: {_advice()}")
