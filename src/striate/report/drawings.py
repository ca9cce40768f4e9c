"""The images of a report as HTML elements, with descriptions for readers who cannot see them."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from striate.figures import (
    accuracy_curve,
    confused_pairs,
    draw_architecture,
    draw_confusion,
    draw_reconstructions,
    encode_png,
    energy_curve,
    filter_mosaic,
    to_svg,
)
from striate.images.names import printable
from striate.report.data import ReportData, Sample, StageFilters

# More filters than this cannot be distinguished on a page, and would only make the file larger.
_MOST_FILTERS = 400
# A kernel of a second stage is drawn as a group of tiles, one per input map.
_MOST_KERNELS = 4000
_SAMPLE_SIDE = 96  # pixels
_PROJECTED = (
    "each unit's weights, drawn as the first stage's filters that they stand for; "
    "the rectification and pooling between the stages are left out"
)


@dataclass(frozen=True)
class StageDrawings:
    """The mosaics of one stage, each ``(caption, element)``, and facts about the stage."""

    name: str
    kind: str
    n_filters: int
    size: str
    shown: int
    active_fraction: float | None
    dead_units: int | None
    mosaics: list[tuple[str, Markup]]


def hero(data: ReportData) -> Markup | None:
    """The first stage's filters, wide; None if there are none."""
    if not data.stages:
        return None
    stage = data.stages[0]
    filters = stage.decoder if stage.decoder is not None else stage.encoder
    shown = _first(filters)
    columns = _even_columns(len(shown))
    return _mosaic(shown, f"{len(shown)} filters of {stage.name}, {stage.kind}.", data, columns=columns)


def stage_drawings(data: ReportData) -> list[StageDrawings]:
    """The filters of every stage."""
    return [_stage(stage, data, first=number == 0) for number, stage in enumerate(data.stages)]


def _stage(stage: StageFilters, data: ReportData, *, first: bool) -> StageDrawings:
    parts = []
    if stage.kind == "sparse coding":
        parts.append(("dictionary", stage.encoder, "the edges that each unit stands for, in 4×4 cells"))
    elif stage.projected is not None:
        parts.append(("in pixels", stage.projected, _PROJECTED))
    else:
        kernels = "" if stage.encoder.shape[1] in (1, 3) else "; one group per unit, one tile per input map"
        parts.append(("encoder", stage.encoder, f"what each unit looks for{kernels}"))
        if stage.decoder is not None:
            parts.append(("decoder", stage.decoder, "what each unit adds to a rebuilt patch"))
    mosaics, shown = [], 0
    for name, filters, meaning in parts:
        some = _first(filters)
        shown = len(some)
        alt = f"{name.capitalize()} of {stage.name}: {shown} filters of {_size(filters)} pixels"
        mosaics.append((f"{name.capitalize()}: {meaning}.", _mosaic(some, alt, data)))
    return StageDrawings(
        name=printable(stage.name),
        kind=stage.kind,
        n_filters=len(stage.encoder),
        size=_size(stage.encoder),
        shown=shown,
        active_fraction=stage.active_fraction,
        dead_units=stage.dead_units,
        mosaics=mosaics,
    )


def _even_columns(n: int) -> int:
    """About square, and the last row full where a number near the square root allows that."""
    root = math.sqrt(n)
    full = [columns for columns in range(math.ceil(root), math.floor(2 * root) + 1) if n % columns == 0]
    return full[0] if full else math.ceil(root)


def _first(filters: NDArray[Any]) -> NDArray[Any]:
    channels = filters.shape[1]
    return filters[: _MOST_FILTERS if channels in (1, 3) else max(1, min(_MOST_FILTERS, _MOST_KERNELS // channels))]


def _size(filters: NDArray[Any]) -> str:
    return f"{filters.shape[3]} × {filters.shape[2]}"


def _mosaic(filters: NDArray[Any], alt: str, data: ReportData, *, columns: int | None = None) -> Markup:
    # Several screen pixels per weight, so that browsers do not blur them; the file hardly grows.
    small = filter_mosaic(filters, columns=columns, scale=1, color=data.color)
    scale = max(1, min(4, 1800 // max(small.shape[:2])))
    png = encode_png(small.repeat(scale, axis=0).repeat(scale, axis=1), transparent_gap=True)
    height, width = small.shape[:2]
    return image(png, alt, width=width * scale, height=height * scale, kind="mosaic")


def image(content: bytes, alt: str, *, width: int, height: int, kind: str, media: str = "png") -> Markup:
    """An image inside the page: the content of a file of that type."""
    source = base64.b64encode(content).decode("ascii")
    return Markup('<img class="{}" alt="{}" width="{}" height="{}" src="data:image/{};base64,{}">').format(
        kind, alt, width, height, media, source
    )


def sample_image(sample: Sample) -> Markup:
    """A held-out image, reduced if it is large."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(sample.image))
    if max(picture.size) > _SAMPLE_SIDE:
        picture.thumbnail((_SAMPLE_SIDE, _SAMPLE_SIDE))
    png = encode_png(np.asarray(picture))
    said = "called unknown" if sample.unknown else f"taken for {printable(sample.predicted)}"
    alt = f"An image of class {printable(sample.true)}, {said}."
    kind = "pixels" if max(picture.size) <= 48 else "photo"
    return image(png, alt, width=picture.size[0], height=picture.size[1], kind=kind)


def architecture(data: ReportData) -> Markup | None:
    """The hierarchy as a drawing."""
    if not data.architecture:
        return None
    layers = ", then ".join(str(layer["label"]) for layer in data.architecture)
    return Markup(to_svg(draw_architecture(data.architecture), alt=f"The hierarchy from image to class: {layers}."))


def learning(data: ReportData) -> Markup | None:
    """The energy while the filters were learned."""
    histories = [(printable(stage.name), stage.energies) for stage in data.stages if len(stage.energies) > 1]
    if not histories:
        return None
    return Markup(to_svg(energy_curve(histories), alt="Energy against batches, falling as the filters are learned."))


def reconstructions(data: ReportData) -> Markup | None:
    """Patches, codes, and patches from codes."""
    if data.reconstructions is None:
        return None
    parts = data.reconstructions
    if not isinstance(parts, tuple):
        parts = (parts.patches, parts.codes, parts.reconstructions)
    if not len(parts[0]):
        return None
    figure = draw_reconstructions(*parts, color=data.color)
    alt = "Each row shows a patch, its code and the reconstruction; most components of a code are zero."
    return Markup(to_svg(figure, alt=alt))


def curve(data: ReportData) -> Markup | None:
    """Accuracy against the number of labels."""
    if not data.curve:
        return None
    points = "; ".join(f"{point.mean:.1%} from {point.n_labels:,} labels" for point in data.curve)
    figure = accuracy_curve(data.curve, pixels=data.pixel_curve, random=data.random_curve)
    return Markup(to_svg(figure, alt=f"Accuracy against the number of labels. Learned filters: {points}."))


def confusion(data: ReportData) -> Markup | None:
    """The confusion matrix."""
    if data.confusion is None:
        return None
    matrix, classes = data.confusion
    names = [printable(name) for name in classes]
    worst = confused_pairs(matrix, names, at_most=3)
    said = "; ".join(f"{pair.true} taken for {pair.predicted} {pair.times} times" for pair in worst) or "no mistake"
    return Markup(to_svg(draw_confusion(matrix, names), alt=f"Confusion matrix of {len(names)} classes: {said}."))


def gallery(samples: Sequence[Sample], at_most: int) -> list[tuple[Sample, Markup]]:
    """Samples with their images."""
    return [(sample, sample_image(sample)) for sample in samples[:at_most]]
