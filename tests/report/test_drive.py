from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from striate.report import DriveReport, write_drive_report
from striate.robot import FarResult, write_clip


def test_a_page_without_anything_from_outside(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    write_clip(tmp_path / "drive.gif", [rng.integers(0, 256, (20, 40, 3), np.uint8)])
    obstacle = rng.random(400) < 0.5
    ranges = rng.uniform(5, 30, 400).astype(np.float32)
    cost = np.where(obstacle, 0.8, 0.1).astype(np.float32)
    result = FarResult(np.repeat([0, 3], 200), ranges, obstacle, cost, np.arange(400))
    report = DriveReport(
        "A <b>drive</b>",
        "2 frames",
        tmp_path / "drive.gif",
        result,
        {"reading": 0.02, "map": 0.0},
        [("7", "It is <i>.")],
    )
    write_drive_report(tmp_path / "report.html", report)
    page = (tmp_path / "report.html").read_text()
    assert "A &lt;b&gt;drive&lt;/b&gt;" in page
    assert "It is &lt;i&gt;." in page
    assert "1.000</td><td" in page  # AUROC of a perfect prediction
    assert page.count("–</td>") == 3  # no windows at 35–60 m, and no frames per second of no time
    assert 'width="40" height="20" src="data:image/gif;base64,' in page
    assert "beyond 12 m" in page
    assert "one half is chance" in page
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    # With nothing to draw, the sections are left out.
    empty = FarResult(result.frame[:0], ranges[:0], obstacle[:0], result.cost[:0], result.window[:0])
    write_drive_report(tmp_path / "report.html", DriveReport("A", "", tmp_path / "drive.gif", empty, {"map": 0.1}))
    page = (tmp_path / "report.html").read_text()
    assert "Learning while driving" not in page
    assert "say nothing" not in page
