from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

from striate.figures import to_svg
from striate.figures.svg import INK, new_figure, quiet_axes


def drawing() -> str:
    figure = new_figure(2, 1)
    axes = figure.subplots()
    quiet_axes(axes)
    axes.plot([0, 1], [0, 1], color=INK)
    return to_svg(figure, alt='a <line> & "more"')


def test_it_is_well_formed_and_says_what_it_shows() -> None:
    root = ElementTree.fromstring(drawing())
    assert root.find("title").text == 'a <line> & "more"'  # type: ignore[union-attr]


def test_colors_are_those_of_the_page() -> None:
    assert f"var(--ink, {INK})" in drawing()


def test_nothing_is_loaded_and_references_stay_inside() -> None:
    svg = drawing()
    assert "http" not in svg
    names = set(re.findall(r'id="([^"]+)"', svg))
    assert set(re.findall(r"(?:href=\"#|url\(#)([^)\"]+)", svg)) <= names


def test_two_drawings_share_no_names() -> None:
    one, other = (set(re.findall(r'id="([^"]+)"', drawing())) for _ in range(2))
    assert not one & other


def test_matplotlib_is_loaded_when_something_is_drawn_and_pyplot_never() -> None:
    script = (
        "import sys, striate.figures as figures; assert 'matplotlib' not in sys.modules;"
        "figures.to_svg(figures.draw_confusion([[1]], ['a']), alt='x'); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
