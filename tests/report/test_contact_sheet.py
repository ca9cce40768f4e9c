from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.errors import UsageError
from striate.report import SheetImage, SheetRow, write_contact_sheet
from tests.report.page import Outline, assert_stands_alone


def picture(folder: Path, name: str, size: tuple[int, int], rng: np.random.Generator) -> SheetImage:
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(folder / name)
    return SheetImage(folder / name, name, "3")


def test_the_page_stands_alone_and_holds_small_images(tmp_path: Path, rng: np.random.Generator) -> None:
    large, small = picture(tmp_path, "large.png", (400, 300), rng), picture(tmp_path, "small.png", (20, 30), rng)
    strange = SheetImage(tmp_path / "gone.png", '<script>"x"</script>\n.png', "<i>")
    rows = [SheetRow([small, strange], large), SheetRow([large, small])]
    write_contact_sheet(tmp_path / "sheet.html", rows, title="a <b> & c", note="two rows")
    page = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    outline = Outline(page)
    assert_stands_alone(page, outline)
    sizes = []
    for image in outline.named("img"):
        raw = base64.b64decode(str(image["src"]).partition(",")[2])
        with Image.open(io.BytesIO(raw)) as opened:
            assert opened.size == (int(str(image["width"])), int(str(image["height"])))
            sizes.append(opened.size)
    assert sizes == [(128, 96), (20, 30), (128, 96), (20, 30)]
    text = " ".join(outline.texts)
    for part in ("a <b> & c", "two rows", "large.png", "cannot be read", '<script>"x"</script>\\n.png', "<i>"):
        assert part in text


def test_a_place_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        write_contact_sheet(tmp_path / "no" / "sheet.html", [], title="a")
