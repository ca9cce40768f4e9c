"""A few patches with their codes, and the reconstructions from the codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.errors import UsageError
from striate.figures.mosaic import ColorSpace, to_grey_levels, yuv_to_rgb
from striate.figures.svg import OURS, PIXELS, QUIET, new_figure, quiet_axes
from striate.parameters import Choice, Integer, checked
from striate.samples import as_array, as_samples

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_reconstructions(
    patches: ArrayLike,
    codes: ArrayLike,
    reconstructions: ArrayLike,
    *,
    color: ColorSpace = "rgb",
    at_most: int = 8,
) -> Figure:
    """Draw patch, code and reconstruction side by side, one row per patch.

    Parameters
    ----------
    patches, reconstructions : float (n_patches, channels, height, width)
        Both are drawn at the patch's own scale, zero in mid grey, so that they can be compared.
    codes : float (n_patches, n_components)
        Drawn as bars from zero, one per component, in the order of the filters.
    color : "rgb" or "yuv", default="rgb"
        The meaning of three channels.
    at_most : int, default=8
        Largest number of patches drawn.

    Returns
    -------
    matplotlib.figure.Figure
    """
    color = checked("color", color, Choice("rgb", "yuv"))
    at_most = checked("at_most", at_most, Integer(low=1))
    image_axes = ("n", "channels", "height", "width")
    given = as_array(patches, name="patches", axes=image_axes)[:at_most]
    bars = as_samples(codes, name="codes")[:at_most]
    back = as_array(reconstructions, name="reconstructions", axes=image_axes)[:at_most]
    if given.shape != back.shape or len(bars) != len(given):
        raise UsageError(
            f"patches {given.shape}, codes {bars.shape} and reconstructions {back.shape} do not fit: "
            f"give (n, channels, height, width), (n, n_components), and the first again."
        )
    if not given.size or not bars.size:
        raise UsageError("reconstructions need at least one patch, and at least one component.")
    figure = new_figure(5.2, 0.3 + 0.55 * len(given))
    rows = figure.subplots(len(given), 3, squeeze=False, width_ratios=(1, 8, 1))
    shown = _levels(np.concatenate([given, back], axis=3), color)
    width = given.shape[3]
    reach = float(np.abs(bars).max()) or 1.0
    components = np.arange(bars.shape[1])
    for (left, middle, right), image, code in zip(rows, shown, bars, strict=True):
        for axes, half in ((left, image[:, :width]), (right, image[:, width:])):
            axes.imshow(half, cmap="gray", vmin=0, vmax=254, interpolation="none")
            axes.set_axis_off()
        quiet_axes(middle, grid=False)
        active = np.flatnonzero(code)
        middle.vlines(
            components[active], 0, code[active], color=np.where(code[active] > 0, OURS, PIXELS), linewidth=1.6
        )
        middle.axhline(0, color=QUIET, linewidth=0.6)
        middle.set(xlim=(-1, len(components)), ylim=(-reach, reach), xticks=[], yticks=[])
        middle.spines["bottom"].set_visible(False)
    for axes, title, side in zip(rows[0], ("patch", "code", "from code"), ("left", "center", "right"), strict=True):
        axes.set_title(title, fontsize=10, color=QUIET, loc=side)
    return figure


def _levels(images: NDArray[Any], color: ColorSpace) -> NDArray[np.uint8]:
    """Images (n, channels, height, width) for matplotlib; of two or more than three channels, the first is drawn."""
    if images.shape[1] == 3:
        levels = to_grey_levels(yuv_to_rgb(images) if color == "yuv" else images)
        return levels.transpose(0, 2, 3, 1)
    return to_grey_levels(images[:, :1])[:, 0]
