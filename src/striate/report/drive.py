"""The report of a drive that a robot's eye has seen: one HTML file with the clip, scores by range, and times."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from striate.figures import draw_curves, to_svg
from striate.figures.svg import new_figure
from striate.report._page import render_page
from striate.report.drawings import image
from striate.robot import FarResult, RangeScore
from striate.whole_file import whole_file

__all__ = ["DriveReport", "write_drive_report"]


@dataclass(frozen=True)
class DriveReport:
    """What the report of a drive shows.

    Parameters
    ----------
    title, note : str
        Heading, and a line below it.
    clip : Path
        The GIF, which becomes a part of the page.
    result : FarResult
        What was seen beyond stereo.
    seconds : mapping of str to float
        Per frame, by phase.
    problems : sequence of (str, str)
        Frames that say nothing, and why.
    """

    title: str
    note: str
    clip: Path
    result: FarResult
    seconds: Mapping[str, float]
    problems: Sequence[tuple[str, str]] = ()


def write_drive_report(path: str | os.PathLike[str], report: DriveReport) -> None:
    """Write the report of a drive as one self-contained HTML file.

    Parameters
    ----------
    path : str or os.PathLike
        The file; its folder must exist.
    report : DriveReport

    Raises
    ------
    UsageError
        If the file cannot be written there.
    """
    values = {
        "title": report.title,
        "note": report.note,
        "clip": _clip(report.clip),
        "scores": report.result.by_range(),
        "curve": _curve(report.result.learning_curve()),
        "phases": [*report.seconds.items(), ("all", sum(report.seconds.values()))],
        "problems": report.problems,
    }
    page = render_page("drive.html", values, {"figure": _figure})
    with whole_file(path) as file:
        file.write(page.encode("utf-8", "backslashreplace"))


def _figure(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "–"


def _clip(path: Path) -> Markup:
    from PIL import Image

    content = path.read_bytes()
    with Image.open(io.BytesIO(content)) as opened:
        width, height = opened.size
    alt = "The drive: labels, predictions and the map of costs, frame by frame."
    return image(content, alt, width=width, height=height, kind="photo", media="gif")


def _curve(points: Sequence[tuple[int, RangeScore]]) -> Markup | None:
    known = [(frame, score.error) for frame, score in points if math.isfinite(score.error)]
    if len(known) < 2:
        return None
    frames, errors = np.array(known, np.float64).T
    figure = new_figure(5.2, 3.1)
    draw_curves(
        figure.subplots(), frames, {"beyond 12 m": errors}, level=0.5, labels=("frame", "error (mean of classes)"),
        legend=False,
    )  # fmt: skip
    return Markup(to_svg(figure, alt="Error beyond 12 m against the frame; one half is chance."))
