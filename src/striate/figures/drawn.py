"""Plots of fitted estimators: methods that draw units, and a mosaic in notebooks."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import ArrayLike, NDArray

from striate.errors import UsageError
from striate.figures.mosaic import ColorSpace, encode_png, filter_mosaic
from striate.parameters import IntegerTuple, checked
from striate.samples import as_array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DrawnEstimator", "DrawnUnits", "Shown", "as_filters"]

_MOST_SHOWN = 256  # filters in a notebook
_CHANNELS = (1, 3)


def as_filters(units: ArrayLike, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
    """Units as small images, (n_units, channels, height, width).

    Parameters
    ----------
    units : float (n_units, n_features)
    shape : tuple of int, optional
        (height, width) or (channels, height, width) of a unit. By default a square of one channel, or else of three.

    Raises
    ------
    UsageError
        If the features are not a square and no shape is given, or do not fit the shape.
    """
    array = as_array(units, name="units", axes=("n_units", "n_features"))
    n_features = array.shape[1]
    if shape is not None:
        shape = checked("shape", shape, IntegerTuple(2, low=1) | IntegerTuple(3, low=1))
        if math.prod(shape) != n_features:
            raise UsageError(f"units have {n_features} features, but shape={shape} has {math.prod(shape)}")
        return array.reshape(len(array), *(shape if len(shape) == 3 else (1, *shape)))
    for channels in _CHANNELS:
        side = math.isqrt(n_features // channels)
        if channels * side * side == n_features:
            return array.reshape(len(array), channels, side, side)
    raise UsageError(f"{n_features} features are not a square image; give shape=(height, width)")


class Shown(NamedTuple):
    """The mosaic of an estimator in a notebook: filters (n, channels, height, width), their caption and colors.

    `columns` are the filters per row; None is about as many as there are rows.
    """

    filters: NDArray[Any]
    caption: str
    color: ColorSpace = "rgb"
    columns: int | None = None

    def draw(self, columns: int | None) -> Figure:
        """The filters as a matplotlib figure."""
        from striate.figures.filters import draw_filters

        return draw_filters(self.filters, caption=self.caption, columns=columns or self.columns, color=self.color)


class DrawnEstimator:
    """A scikit-learn estimator that shows a mosaic of its filters in a notebook, above scikit-learn's own diagram."""

    def _shown(self) -> Shown | None:
        """The mosaic; None if there is nothing to show, as before `fit`."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        from sklearn.utils import estimator_html_repr

        return _as_html(self._shown()) + str(estimator_html_repr(self))

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


class DrawnUnits(DrawnEstimator):
    """An estimator whose units, `components_`, may be drawn as small images."""

    components_: NDArray[Any]

    def plot_components(self, *, shape: tuple[int, ...] | None = None, columns: int | None = None) -> Figure:
        """Draw the units, each scaled to its own strongest weight.

        Parameters
        ----------
        shape : tuple of int, optional
            (height, width) or (channels, height, width) of a unit; by default a square.
        columns : int, optional
            Units per row; by default about as many as there are rows.

        Returns
        -------
        matplotlib.figure.Figure
            ``learner.plot_components().savefig("units.png")`` writes it.

        Raises
        ------
        UsageError
            If the features are not a square and no shape is given.
        """
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        return self._as_shown(self.components_, "units", shape).draw(columns)

    def _as_shown(self, units: NDArray[Any], kind: str, shape: tuple[int, ...] | None = None) -> Shown:
        filters = as_filters(units, shape)
        _, _, height, width = filters.shape
        return Shown(filters, f"{len(filters):,} {kind} of {height}×{width}")

    def _shown(self) -> Shown | None:
        if not hasattr(self, "components_"):
            return None
        try:
            return self._as_shown(self.components_, "units")
        except UsageError:  # the signals are not images
            return None


def _as_html(shown: Shown | None) -> str:
    if shown is None:
        return ""
    mosaic = filter_mosaic(shown.filters[:_MOST_SHOWN], columns=shown.columns, color=shown.color)
    height, width = mosaic.shape[:2]
    scale = max(1, max(height, width) // 400)
    source = base64.b64encode(encode_png(mosaic)).decode("ascii")
    return (
        f'<div>{shown.caption}</div><img alt="{shown.caption}" width="{width // scale}" height="{height // scale}" '
        f'style="image-rendering: pixelated" src="data:image/png;base64,{source}">'
    )
