"""Pages in a real browser, where one is installed: they must never scroll sideways."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.report import (
    ReportData,
    Sample,
    SheetImage,
    SheetRow,
    StageFilters,
    write_contact_sheet,
    write_report,
)

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SWITCHES = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
)  # fmt: skip
# The page stands in a frame as wide as a phone, because browsers refuse windows that narrow.
FRAME = """<!doctype html><iframe id="page" style="width: {width}px; height: 800px; border: 0" srcdoc="{page}"></iframe>
<script>
document.getElementById("page").onload = event => {{
  const page = event.target.contentDocument
  const unseen = [...page.images].filter(image => !image.naturalWidth).length
  document.title = [page.documentElement.clientWidth, page.documentElement.scrollWidth, unseen].join(" ")
}}
</script>"""


pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="there is no chromium here"),
    pytest.mark.parametrize("width", [360, 1280]),
]
LONG_NAME = "a_class_whose_name_has_no_place_to_break_" * 4


def test_no_report_is_wider_than_the_screen(width: int, tmp_path: Path, rng: np.random.Generator) -> None:
    sample = Sample(rng.integers(0, 256, (90, 96, 3), dtype=np.uint8), LONG_NAME, LONG_NAME[1:], 0.5)
    filters = rng.standard_normal((100, 1, 9, 9))
    patches = filters[:4]
    data = ReportData(
        title=LONG_NAME,
        command=f"striate train /{LONG_NAME}/{LONG_NAME} --json",
        accuracy=0.5,
        model_path=LONG_NAME,
        notation=" - ".join(["256F14x14:16 - Rabs - N - PA10x10/5"] * 4),
        architecture=[{"kind": "filter_bank", "label": "256 filters of 14×14", "shape": (256, 100, 100)}] * 4,
        stages=[StageFilters("stage 1", "PSD", filters, filters, energies=[(0, 2.0), (1, 1.0)])],
        reconstructions=(patches, np.eye(4, 100), patches),
        confusion=(np.array([[1, 2], [3, 4]]), [LONG_NAME, "b"]),
        samples=[sample] * 5,
        mistakes=[sample],
        unknown={"error_rate": 0.05, "false_alarm_rate": 0.047},
        skipped=[(LONG_NAME, LONG_NAME)],
        per_class={LONG_NAME: 0.5, "b": 1.0},
        versions={"striate": "0.1.0"},
    )
    write_report(tmp_path / "report.html", data)
    assert_fits(tmp_path / "report.html", width)


def test_no_contact_sheet_is_wider_than_the_screen(width: int, tmp_path: Path, rng: np.random.Generator) -> None:
    image = tmp_path / f"{LONG_NAME}.png"
    Image.fromarray(rng.integers(0, 256, (90, 400, 3), dtype=np.uint8)).save(image)
    found = [SheetImage(image, LONG_NAME, "3")] * 12
    rows = [SheetRow(found, SheetImage(image, LONG_NAME)), SheetRow(found[:2], None)]
    write_contact_sheet(tmp_path / "sheet.html", rows, title=LONG_NAME, note=LONG_NAME)
    assert_fits(tmp_path / "sheet.html", width)


def assert_fits(path: Path, width: int) -> None:
    """The page is as wide as the screen, and all its images are seen."""
    page = html.escape(path.read_text(encoding="utf-8"))
    frame = path.with_name("frame.html")
    frame.write_text(FRAME.format(width=width, page=page), encoding="utf-8")
    assert BROWSER is not None
    command = [BROWSER, *SWITCHES, f"--user-data-dir={path.parent / 'profile'}", "--dump-dom", frame.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r"<title>(\d+) (\d+) (\d+)</title>", shown)
    assert found, shown[:500]
    available, needed, unseen = map(int, found.groups())
    assert needed <= available <= width
    assert unseen == 0
