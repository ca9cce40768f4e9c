"""Curves: accuracy against the number of labels, and the energy while filters are learned."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from striate.errors import UsageError
from striate.figures.svg import INK, OURS, PIXELS, RANDOM, new_figure, quiet_axes
from striate.samples import as_array

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class AccuracyPoint(Protocol):
    """Accuracy for a number of labels: the mean over random draws of the labeled images, and its standard error."""

    @property
    def n_labels(self) -> int: ...  # noqa: D102
    @property
    def mean(self) -> float: ...  # noqa: D102
    @property
    def standard_error(self) -> float: ...  # noqa: D102


def accuracy_curve(
    ours: Sequence[AccuracyPoint],
    *,
    pixels: Sequence[AccuracyPoint] = (),
    random: Sequence[AccuracyPoint] = (),
) -> Figure:
    """Accuracy against the number of labeled images, on a logarithmic axis.

    Parameters
    ----------
    ours : sequence of points
        With ``n_labels``, ``mean`` and ``standard_error`` (fractions); the bars are one standard error.
    pixels, random : sequence of points, optional
        The same for raw pixels, and for features of random filters.

    Returns
    -------
    matplotlib.figure.Figure
    """
    if not all(_are_points(points) for points in (ours, pixels, random)):
        raise UsageError("accuracy curves are sequences of points with n_labels, mean and standard_error, all numbers.")
    if not len(ours):
        raise UsageError("an accuracy curve needs at least one point: give those of the learned features.")
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    figure = new_figure(5.2, 3.1)
    axes = figure.subplots()
    quiet_axes(axes)
    curves = [("learned filters", ours, OURS, "o"), ("random filters", random, RANDOM, "s"),
              ("raw pixels", pixels, PIXELS, "D")]  # fmt: skip
    curves = [curve for curve in curves if curve[1]]
    n_labels = sorted({point.n_labels for _, points, _, _ in curves for point in points})
    if n_labels[0] > 0:
        axes.set_xscale("log")
    for name, points, color, marker in curves:
        points = sorted(points, key=lambda point: point.n_labels)
        axes.errorbar(
            [point.n_labels for point in points],
            [100 * point.mean for point in points],
            yerr=[100 * (point.standard_error if np.isfinite(point.standard_error) else 0.0) for point in points],
            color=color, marker=marker, markersize=4.5, linewidth=1.8, elinewidth=1.2, capsize=2.5, clip_on=False,
            label=name,
        )  # fmt: skip
    axes.xaxis.set_major_locator(FixedLocator(_spaced(n_labels)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    axes.set_xlim(n_labels[0] / 1.15, n_labels[-1] * 1.15)
    low, high = axes.get_ylim()
    axes.set_ylim(max(0.0, low), min(100.0, high))  # error bars may reach beyond 0 or 100 %, accuracy cannot
    axes.set_xlabel("labeled images (logarithmic)")
    _legend(figure)
    return figure


def energy_curve(histories: Sequence[tuple[str, Sequence[tuple[float, float]]]]) -> Figure:
    """The energy per patch during learning, one line per stage.

    Parameters
    ----------
    histories : sequence of (name, sequence of (batch, energy))
        Energies are averages over a batch of patches. Stages differ in the number of inputs and therefore in energy:
        each is drawn relative to its first value.

    Returns
    -------
    matplotlib.figure.Figure
    """
    try:
        histories = [(str(name), history) for name, history in histories if len(history)]
    except (TypeError, ValueError):
        raise UsageError("energy curves are pairs of a name and a sequence of (batch, energy).") from None
    if not histories:
        raise UsageError("an energy curve needs at least one history of (batch, energy).")
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

    figure = new_figure(5.2, 2.7)
    axes = figure.subplots()
    quiet_axes(axes)
    colors, styles = (OURS, PIXELS, RANDOM, INK), ("-", "--", "-.", ":")
    highest = 0.0
    for number, (name, history) in enumerate(histories):
        points = as_array(history, name=f"energies of {name}", axes=("n", 2), finite=False).astype(np.float64)
        points = points[np.isfinite(points).all(axis=1)]
        if not len(points):
            continue
        relative = 100 * points[:, 1] / points[0, 1] if points[0, 1] else points[:, 1]
        highest = max(highest, float(relative.max()))
        axes.plot(
            points[:, 0], relative,
            color=colors[number % 4], linestyle=styles[number % 4], linewidth=1.6, label=name,
        )  # fmt: skip
    axes.set_ylim(0, 1.05 * highest if highest > 0 else 1.0)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(4) if highest > 130 else FixedLocator([0, 25, 50, 75, 100]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    axes.set_xlabel("batch; energy relative to the first measurement")
    _legend(figure)
    return figure


def _are_points(points: Sequence[AccuracyPoint]) -> bool:
    try:
        return all(
            isinstance(value, numbers.Real)
            for point in points
            for value in (point.n_labels, point.mean, point.standard_error)
        )
    except (AttributeError, TypeError):
        return False


def _legend(figure: Figure) -> None:
    figure.legend(
        loc="outside upper left", ncols=3, frameon=False, fontsize=10.5, labelcolor=INK, handlelength=1.6,
        columnspacing=1.4, borderaxespad=0.0,
    )  # fmt: skip


def _spaced(numbers: Sequence[int]) -> list[int]:
    """The numbers whose labels do not touch on a logarithmic axis; always with the last."""
    if len(numbers) < 2 or numbers[0] <= 0:
        return list(numbers)
    least = np.log(numbers[-1] / numbers[0]) / 7
    chosen = [numbers[-1]]
    for number in reversed(numbers[:-1]):
        if np.log(chosen[-1] / number) >= least:
            chosen.append(number)
    return chosen[::-1]
