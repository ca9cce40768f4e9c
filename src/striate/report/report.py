"""Write the report of a run: one self-contained HTML file."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

from striate.figures import AccuracyPoint, confused_pairs
from striate.images.names import printable
from striate.report import drawings
from striate.report._page import render_page
from striate.report.data import ReportData
from striate.whole_file import whole_file

_MOST_SAMPLES = 24
_MOST_LISTED = 200


def write_report(path: str | os.PathLike[str], data: ReportData) -> None:
    """Write a report as one self-contained HTML file.

    It loads nothing from a network (a content security policy in it forbids that), follows the reader's choice of
    light or dark, and can be printed. An interrupted write leaves no incomplete file.

    Parameters
    ----------
    path : str or os.PathLike
        The file; its folder must exist.
    data : ReportData
        What to show; sections without data are left out.

    Raises
    ------
    UsageError
        If the file cannot be written there, or an array of `data` has a shape that does not fit.
    """
    # A file name that is not valid text (a lone surrogate) must not break the page.
    page = render(data).encode("utf-8", "backslashreplace")
    with whole_file(path) as file:
        file.write(page)


def render(data: ReportData) -> str:
    """The report as a string of HTML."""
    filters: dict[str, Callable[..., str]] = {
        "percent": _percent, "duration": _duration, "size": _size, "count": _count, "point": _point, "at": _at,
    }  # fmt: skip
    return render_page("report.html", {"title": data.title, **_sections(data)}, filters)


def _sections(data: ReportData) -> dict[str, Any]:
    pairs = []
    if data.confusion is not None:
        matrix, classes = data.confusion
        pairs = confused_pairs(matrix, [printable(name) for name in classes], at_most=12)
    return {
        "data": data,
        "hero": drawings.hero(data),
        "stages": drawings.stage_drawings(data),
        "architecture": drawings.architecture(data),
        "learning": drawings.learning(data),
        "reconstructions": drawings.reconstructions(data),
        "curve": drawings.curve(data),
        "confusion": drawings.confusion(data),
        "pairs": pairs,
        "samples": drawings.gallery(data.samples, _MOST_SAMPLES),
        "mistakes": drawings.gallery(data.mistakes, _MOST_SAMPLES),
        "classes": sorted(data.per_class.items(), key=lambda item: (item[1], item[0])),
        "longest": max((phase.seconds for phase in data.phases), default=0.0),
        "most_listed": _MOST_LISTED,
    }


def _percent(fraction: float, digits: int = 1) -> str:
    """A percentage with more digits where rounding would turn less than 100 % into 100 %."""
    text = f"{100 * fraction:.{digits}f}"
    while fraction < 1 and float(text) == 100 and digits < 4:
        digits += 1
        text = f"{100 * fraction:.{digits}f}"
    return f"{text}\N{NO-BREAK SPACE}%"


def _point(point: AccuracyPoint) -> str:
    if not math.isfinite(point.standard_error) or point.standard_error == 0:  # a single draw has no spread
        return _percent(point.mean)
    mean, error = 100 * point.mean, 100 * point.standard_error
    return f"{mean:.1f}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{error:.1f}\N{NO-BREAK SPACE}%"


def _at(points: Sequence[AccuracyPoint], n_labels: int) -> str:
    return next((_point(point) for point in points if point.n_labels == n_labels), "–")


def _count(number: int) -> str:
    return f"{number:,}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f}\N{NO-BREAK SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _size(n_bytes: int) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= scale:
            value = n_bytes / scale
            return f"{value:.{0 if value >= 100 else 1}f}\N{NO-BREAK SPACE}{unit}"
    return f"{n_bytes}\N{NO-BREAK SPACE}bytes"
