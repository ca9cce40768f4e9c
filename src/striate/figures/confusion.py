"""The confusion matrix, and the pairs of classes that are taken for each other most often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.figures.svg import INK, LINE, new_figure, quiet_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Above this, numbers and names no longer fit: the matrix becomes an image, and names stand in the list of pairs.
_MOST_NAMED = 24
# An image cannot follow the page's colors: these are seen on light and on dark.
_RIGHT, _WRONG = "#6f93b3", "#d5602c"


class ConfusedPair(NamedTuple):
    """One class that was taken for another."""

    true: str
    predicted: str
    times: int
    share: float  # of the pictures of the true class


def confused_pairs(matrix: NDArray[Any], classes: Sequence[str], *, at_most: int = 10) -> list[ConfusedPair]:
    """The most frequent confusions, the largest share of the true class first.

    Parameters
    ----------
    matrix : int (n_classes, n_classes)
        Counts; true classes in rows.
    classes : sequence of str
    at_most : int, default=10

    Returns
    -------
    list of ConfusedPair
        Without pairs that never occurred.
    """
    matrix, shares = _checked(matrix, classes)
    wrong = np.argwhere((matrix > 0) & ~np.eye(len(matrix), dtype=bool))
    pairs = [
        ConfusedPair(str(classes[true]), str(classes[predicted]), int(matrix[true, predicted]),
                     float(shares[true, predicted]))
        for true, predicted in wrong
    ]  # fmt: skip
    return sorted(pairs, key=lambda pair: (-pair.share, -pair.times, pair.true, pair.predicted))[:at_most]


def draw_confusion(matrix: NDArray[Any], classes: Sequence[str]) -> Figure:
    """Draw a confusion matrix: rows are true classes, columns predictions, shade the share of the row.

    Right answers and mistakes have colors of their own, so that the diagonal does not outshine what is off it.
    Shades of mistakes go with the square root of the share: one in a hundred is still visible.

    Parameters
    ----------
    matrix : int (n_classes, n_classes)
        Counts; true classes in rows.
    classes : sequence of str
        Up to 24 are named, and their counts written; more are drawn as an image.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.colors import to_rgb

    matrix, shares = _checked(matrix, classes)
    n = len(matrix)
    figure = new_figure(5.2, 5.2)
    axes = figure.subplots()
    quiet_axes(axes, grid=False)
    diagonal = np.eye(n, dtype=bool)
    # Transparency is the shade, so that the same drawing stands on light and dark pages.
    cells = np.empty((n, n, 4))
    cells[..., :3] = np.where(diagonal[..., None], to_rgb(_RIGHT), to_rgb(_WRONG))
    cells[..., 3] = np.where(diagonal, 0.7 * shares, np.where(matrix > 0, 0.15 + 0.8 * np.sqrt(shares), 0.0))
    axes.imshow(cells, interpolation="none")
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(LINE)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    if n > _MOST_NAMED:
        axes.set_xticks([])
        axes.set_yticks([])
        return figure
    names = [_short(name) for name in classes]
    upright = max(map(len, names)) <= max(2, 36 // n)
    size = 10 if n <= 12 else 7
    axes.set_xticks(range(n), names, rotation=0 if upright else 90, fontsize=size, parse_math=False)
    axes.set_yticks(range(n), names, fontsize=size, parse_math=False)
    axes.tick_params(length=0)
    for true, predicted in np.argwhere(matrix > 0):
        axes.text(
            predicted, true, f"{matrix[true, predicted]}", ha="center", va="center",
            fontsize=size - 1, color=INK,
        )  # fmt: skip
    return figure


def _checked(matrix: NDArray[Any], classes: Sequence[str]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The matrix, and each row as shares of its class; a class without pictures has shares of zero."""
    matrix = np.asarray(matrix)
    if matrix.shape != (len(classes), len(classes)) or not len(classes):
        raise UsageError(f"a confusion matrix of shape {matrix.shape} does not fit {len(classes)} classes.")
    return matrix, matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)


def _short(name: str, length: int = 14) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"
