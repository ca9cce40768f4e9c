from __future__ import annotations

from pathlib import Path

import pytest

from striate.images.names import printable


@pytest.mark.parametrize("name", ["photo 1.jpg", "фото/çà.png", "画像.webp", "صورة.gif", "C:\\bilder\\a.bmp", ""])
def test_names_in_every_script_stay(name: str) -> None:
    assert printable(name) == name


def test_what_breaks_a_line_or_a_terminal_is_escaped() -> None:
    assert printable(Path("a\nb\x1b[31m\u202e.jpg")) == "a\\nb\\x1b[31m\\u202e.jpg"
    assert printable("bad\udcff.jpg") == "bad\\udcff.jpg"  # a byte that is no UTF-8, as Python reads it
    printable("bad\udcff.jpg").encode("utf-8")
