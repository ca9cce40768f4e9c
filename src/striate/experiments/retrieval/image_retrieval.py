"""Image retrieval on the 15 scenes: twelve neighbors by several distances, and precision by number of bits.

The 15 scenes are used instead of LabelMe (Torralba, Fergus, Weiss, CVPR 2008), whose images were not available. An
image is relevant if it shows the same kind of place. A tenth of each category are queries, another tenth was used to
choose settings, and the others are searched; filters and projections are learned only from these, without labels.
"""

from __future__ import annotations

import base64
import io
import itertools
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, paired
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.hierarchy import Hierarchy, extract_features, learn_filters
from striate.hierarchy.protocols import protocol
from striate.images import ImageCollection, Preprocessing, as_images, fit_to_canvas, load_mnist_digits, stream, to_grey
from striate.retrieval import Neighbors, average_precision, fit_projection, nearest_codes, nearest_vectors

NAME = "image-retrieval"
CLAIM = "Compact binary codes of learned features find similar images as well as whole descriptors do."
DATA = {"quick": (), "full": ("scenes15",)}

NEIGHBORS = 12
BITS = (16, 32, 64, 128, 256, 512)
METHODS: tuple[Literal["itq", "pca", "lsh"], ...] = ("itq", "pca", "lsh")
SEEDS = {"full": 3, "quick": 1}  # number of random draws of rotations and hyperplanes
ITERATIONS = {"full": 50, "quick": 3}
PROTOCOL = {"full": "UU", "quick": "R"}
SIDE = {"full": 128, "quick": 32}  # pixels of the squares for the other descriptors
# Chosen on validation queries, as all settings here: two stages instead of one bring 4 points with 64 bits; leaving out
# the normalization of the last stage, and keeping the images' aspect ratio, bring 2.5 more.
ARCHITECTURE = {
    "full": "64F9x9 - Rabs - N - PA10x10/5 - 256F5x5 - Rabs - PA5x5/5",
    "quick": "16F5x5 - Rabs - N5x5 - PA6x6/4",
}
CANVAS = {"full": 144, "quick": 32}  # pixels of the hierarchy's input
DESCRIPTORS = ("pixels", "HOG", "GIST", "hierarchy")
FOR_LEARNING = 1500  # images that filters and projections are learned from
SHOWN = 4  # queries in the drawing
THUMBNAIL = 56
FRAME = (42, 127, 79)  # around neighbors of the query's category


def _difference(other: str) -> Callable[[Results], Measurement]:
    """Precision of 64-bit codes minus that of exact search on a descriptor, in points, paired by query."""

    def measure(results: Results) -> Measurement:
        ours, theirs = results["hierarchy"]["codes"]["itq"]["64"]["precision"], results[other]["precision"]
        return paired(100 * np.mean(ours, axis=0), 100 * np.asarray(theirs))

    return measure


def _share_of_real(results: Results) -> Measurement:
    """Precision of 256-bit codes, divided by that of the features themselves."""
    found = results["hierarchy"]
    value = float(np.mean(found["codes"]["itq"]["256"]["precision"]) / np.mean(found["precision"]))
    return Measurement(value, held=value >= 0.95)


def _rises(results: Results) -> Measurement:
    """Precision with the most bits minus that with the fewest."""
    means = [float(np.mean(results["hierarchy"]["codes"]["itq"][str(bits)]["precision"])) for bits in BITS]
    return Measurement(100 * (means[-1] - means[0]), held=all(b >= a - 0.005 for a, b in itertools.pairwise(means)))


FIGURES = (
    *(
        Figure(
            what=f"precision at 12 of codes of 64 bits minus that of exact search on {name}",
            unit="points",
            better="higher",
            goal=0.0,
            measure=_difference(name),
        )
        for name in ("pixels", "HOG", "GIST")
    ),
    Figure(
        what="precision at 12 of codes of 256 bits, share of that of the features themselves",
        better="higher",
        predicate="at least 0.95: a few hundred bits do for the whole descriptor (Torralba et al. 2008, abstract)",
        measure=_share_of_real,
    ),
    Figure(
        what="precision at 12 with 512 bits minus that with 16",
        unit="points",
        better="higher",
        predicate="no doubling of the bits costs more than half a point",
        measure=_rises,
    ),
    Figure(
        what="time of a query among a million codes of 64 bits",
        unit="ms",
        better="lower",
        goal=10.0,
        measure=lambda results: results["time"]["ms"],
    ),
)


def units(scale: Scale) -> list[Unit]:
    """Return a unit per descriptor, and the time of a query."""
    found = [Unit(name, {"descriptor": name}, retrieve, expected_seconds=200.0) for name in DESCRIPTORS]
    return [*found, Unit("time", {"codes": 1_000_000 if scale == "full" else 20_000}, time_queries)]


def retrieve(settings: Settings, context: Context) -> dict[str, Any]:
    """Search exactly on one descriptor; for the hierarchy, search in all kinds of codes as well."""
    images, labels = _images(context)
    base, _, queries = split(labels)
    name = settings["descriptor"]
    vectors = _hierarchy(images, base, context) if name == "hierarchy" else _describe(name, images, context)
    exact = nearest_vectors(vectors[queries], vectors[base], NEIGHBORS)
    distances = nearest_vectors(vectors[queries], vectors[base], len(base))
    relevant = labels[base][distances.rows] == labels[queries][:, np.newaxis]
    result: dict[str, Any] = {
        "precision": _precision(exact, labels, base, queries),
        "average precision": float(average_precision(distances.distances, relevant).mean()),
        "n_features": int(vectors.shape[1]),
    }
    shown = exact
    if name == "hierarchy":
        result["codes"], shown = _search_codes(vectors, labels, base, queries, context)
    result["sheet"] = _contact_sheet(images, labels, base, queries, shown)
    return result


def split(labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return positions of searched images, validation and test queries; queries are a tenth of each category each."""
    rng = np.random.default_rng(0)
    classes, counts = np.unique(labels, return_counts=True)
    tenth = {label: max(1, round(0.1 * count)) for label, count in zip(classes.tolist(), counts.tolist(), strict=True)}
    test = np.concatenate([rng.permutation(np.flatnonzero(labels == label))[:n] for label, n in tenth.items()])
    rest = np.setdiff1d(np.arange(len(labels)), test)
    validation = np.concatenate([rng.permutation(rest[labels[rest] == label])[:n] for label, n in tenth.items()])
    return np.setdiff1d(rest, validation), validation, test


def _precision(
    found: Neighbors, labels: NDArray[np.int64], base: NDArray[np.int64], queries: NDArray[np.int64]
) -> list[float]:
    """Return the precision of each query, to four digits."""
    hits: NDArray[np.float64] = (labels[base][found.rows] == labels[queries][:, np.newaxis]).mean(axis=1)
    return np.round(hits, 4).tolist()


def _search_codes(
    vectors: NDArray[np.float32],
    labels: NDArray[np.int64],
    base: NDArray[np.int64],
    queries: NDArray[np.int64],
    context: Context,
) -> tuple[dict[str, Any], Neighbors]:
    """Measure every method and number of bits; return precisions, and the neighbors by 64 bits of ITQ."""
    found: dict[str, Any] = {}
    shown: Neighbors | None = None
    sample = vectors[_for_learning(base, context)]
    with context.progress.phase("codes", total=len(METHODS) * len(BITS), unit="kinds") as phase:
        for method in METHODS:
            found[method] = {}
            for bits in BITS:
                rows, areas = [], []
                for seed in range(1 if method == "pca" else SEEDS[context.scale]):
                    projection = fit_projection(
                        sample, bits, method=method, n_iterations=ITERATIONS[context.scale],
                        random_state=np.random.default_rng([context.seed, seed]),
                    )  # fmt: skip
                    codes = projection.codes(vectors)
                    every = nearest_codes(codes[queries], codes[base], len(base))
                    nearest = Neighbors(every.rows[:, :NEIGHBORS], every.distances[:, :NEIGHBORS])
                    rows.append(_precision(nearest, labels, base, queries))
                    relevant = labels[base][every.rows] == labels[queries][:, np.newaxis]
                    areas.append(float(average_precision(every.distances, relevant).mean()))
                    if shown is None and (method, bits) == ("itq", 64):
                        shown = nearest
                found[method][str(bits)] = {"precision": rows, "average precision": areas}
                phase.advance()
    assert shown is not None
    return found, shown


# ---- descriptors ---------------------------------------------------------------------------------------------------


def _images(context: Context) -> tuple[ImageCollection, NDArray[np.int64]]:
    if context.scale == "full":
        images = as_images(context.data("scenes15"))
        return images, np.unique(np.asarray(images.labels), return_inverse=True)[1].astype(np.int64)
    digits, names = load_mnist_digits()
    return as_images(digits[::16]), names[::16].astype(np.int64)


def _hierarchy(images: ImageCollection, base: NDArray[np.int64], context: Context) -> NDArray[np.float32]:
    """Return features of unit length; filters are learned from images that are searched."""
    side = CANVAS[context.scale]
    preprocessing = Preprocessing((side, side))
    chosen = _for_learning(base, context)
    batches = stream(images, preprocessing, indices=chosen)
    sample = np.concatenate([batch for _, batch in batches])
    hierarchy = Hierarchy(ARCHITECTURE[context.scale])
    hierarchy, _ = learn_filters(
        hierarchy, sample, learners=protocol(PROTOCOL[context.scale]), random_state=context.seed,
        progress=context.progress,
    )  # fmt: skip
    rows = extract_features(images, preprocessing, hierarchy, progress=context.progress).rows
    rows /= np.maximum(np.sqrt(np.square(rows).sum(axis=1, keepdims=True)), 1e-12)
    return rows


def _for_learning(base: NDArray[np.int64], context: Context) -> NDArray[np.int64]:
    return np.sort(np.random.default_rng(context.seed).permutation(base)[:FOR_LEARNING])


def _describe(name: str, images: ImageCollection, context: Context) -> NDArray[np.float32]:
    """Return a classical descriptor of every image, grey and stretched to a square."""
    side = SIDE[context.scale]
    describe: dict[str, Callable[[NDArray[np.float32]], NDArray[Any]]] = {
        "pixels": lambda grey: grey.reshape(32, side // 32, 32, side // 32).mean(axis=(1, 3)),
        "HOG": lambda grey: _hog(grey, side // 4),
        "GIST": gist,
    }
    rows = []
    with context.progress.phase(name, total=len(images), unit="images") as phase:
        for image in images:
            rows.append(describe[name](_square(image, side)).reshape(-1).astype(np.float32))
            phase.advance()
    return np.stack(rows)


def _square(image: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    from PIL import Image

    grey = Image.fromarray(to_grey(image)[0])
    return np.asarray(grey.resize((side, side), Image.Resampling.LANCZOS), np.float32).clip(0, 1)


def _hog(grey: NDArray[np.float32], cell: int) -> NDArray[Any]:
    from skimage.feature import hog

    return np.asarray(hog(grey, orientations=9, pixels_per_cell=(cell, cell), cells_per_block=(2, 2)))


def gist(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a descriptor in the manner of GIST: energies of 32 Gabor filters, averaged over a grid of 4 × 4.

    Parameters
    ----------
    grey : float32 (side, side)
        0–1; the side is a multiple of 4.

    Returns
    -------
    float32 (512,)
        Four scales of eight orientations, after a local normalization of the logarithm's contrast.

    References
    ----------
    Oliva & Torralba, "Modeling the shape of the scene", IJCV 2001; constants as in the authors' LMgist.
    """
    from scipy.fft import fft2, ifft2

    side = len(grey)
    border = side // 8
    window, bank = _gabor_bank(side, border)
    levels = np.log(255 * np.pad(grey, border, mode="symmetric").astype(np.float32) + 1)
    levels -= ifft2(fft2(levels) * window).real
    levels /= 0.2 + np.sqrt(np.abs(ifft2(fft2(levels * levels) * window).real))
    responses = np.abs(ifft2(fft2(levels)[np.newaxis] * bank))[:, border:-border, border:-border]
    return np.asarray(responses.reshape(32, 4, side // 4, 4, side // 4).mean(axis=(2, 4)).reshape(-1), np.float32)


@cache
def _gabor_bank(side: int, border: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the normalization's window and 32 filters, by frequency."""
    n = side + 2 * border
    across, down = np.meshgrid(np.fft.fftfreq(n), np.fft.fftfreq(n))
    radius, angle = np.hypot(across, down), np.arctan2(down, across)
    window = np.exp(-(radius**2) * n**2 * np.log(2) / 4**2)
    filters = []
    for scale in range(4):
        center = 0.3 / 1.85**scale
        for orientation in range(8):
            turned = np.mod(angle - np.pi * orientation / 8 + np.pi, 2 * np.pi) - np.pi
            filters.append(np.exp(-3.5 * (radius / center - 1) ** 2 - 2 * np.pi * turned**2))
    return window.astype(np.float32), np.array(filters, np.float32)


# ---- time ----------------------------------------------------------------------------------------------------------


def time_queries(settings: Settings, context: Context) -> dict[str, Any]:
    """Measure the median time of single queries among random codes of 64 bits; to be run while nothing else runs."""
    codes = np.random.default_rng(context.seed).integers(0, 2**64, (settings["codes"], 1), np.uint64)
    nearest_codes(codes[:1], codes, NEIGHBORS)  # compiles
    seconds = []
    for query in range(50):
        start = time.perf_counter()
        nearest_codes(codes[query : query + 1], codes, NEIGHBORS)
        seconds.append(time.perf_counter() - start)
    return {"ms": 1000 * float(np.median(seconds))}


# ---- image -------------------------------------------------------------------------------------------------------


def _contact_sheet(
    images: ImageCollection,
    labels: NDArray[np.int64],
    base: NDArray[np.int64],
    queries: NDArray[np.int64],
    found: Neighbors,
) -> str:
    """Return a PNG in base64 of one query from each of four categories beside its neighbors, relevant ones framed."""
    from PIL import Image

    classes = np.unique(labels)
    chosen = [int(np.flatnonzero(labels[queries] == label)[0]) for label in classes[:: -(-len(classes) // SHOWN)]]
    step = THUMBNAIL + 6
    sheet = np.full((step * len(chosen), step * (NEIGHBORS + 1) + 8, 3), 255, np.uint8)
    for line, query in enumerate(chosen):
        for column, position in enumerate([queries[query], *base[found.rows[query]]]):
            grey = to_grey(images[int(position)])
            tile = fit_to_canvas(grey, (THUMBNAIL, THUMBNAIL))[0][0]
            top, left = step * line, step * column + (8 if column else 0)
            if column and labels[position] == labels[queries[query]]:
                sheet[top : top + step, left : left + step] = FRAME
            inner = sheet[top + 3 : top + 3 + THUMBNAIL, left + 3 : left + 3 + THUMBNAIL]
            inner[:] = np.rint(255 * tile.clip(0, 1))[..., np.newaxis]
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, format="PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")


def draw(results: Results, path: Path) -> None:
    """Draw queries with their neighbors under three distances, and precision against bits."""
    from PIL import Image

    canvas = new_canvas(13, 8)
    grid = canvas.add_gridspec(3, 2, width_ratios=(1.9, 1))
    names = {"pixels": "pixels", "GIST": "GIST", "hierarchy": "learned features, codes of 64 bits"}
    for row, (name, title) in enumerate(names.items()):
        axes = canvas.add_subplot(grid[row, 0])
        with Image.open(io.BytesIO(base64.b64decode(results[name]["sheet"]))) as sheet:
            axes.imshow(np.asarray(sheet), interpolation="none")
        axes.set_title(f"{title}: query, 12 nearest; framed: same kind of place", fontsize=9, loc="left")
        axes.set_axis_off()
    found = results["hierarchy"]
    for row, (what, scale) in enumerate((("precision", 100), ("average precision", 100))):
        axes = canvas.add_subplot(grid[row, 1])
        for method, label in (("itq", "ITQ"), ("pca", "PCA sign"), ("lsh", "LSH")):
            values = [scale * np.mean(found["codes"][method][str(bits)][what]) for bits in BITS]
            axes.plot(BITS, values, marker="o", markersize=3, label=label)
        for number, (name, label) in enumerate(
            (("hierarchy", "features themselves"), ("GIST", "GIST"), ("HOG", "HOG"), ("pixels", "pixels"))
        ):
            value = scale * np.mean(results[name][what])
            axes.axhline(value, color="black", linewidth=0.9, linestyle=("-", "--", "-.", ":")[number], label=label)
        axes.set_xscale("log", base=2)
        axes.set_xticks(BITS, [str(bits) for bits in BITS])
        axes.set_ylabel("precision at 12, %" if what == "precision" else "mean average precision, %")
        axes.set_xlabel("bits")
    handles, labels = axes.get_legend_handles_labels()
    last = canvas.add_subplot(grid[2, 1])
    last.set_axis_off()
    last.legend(handles, labels, frameon=False, fontsize=9, loc="upper left", ncols=2)
    save_canvas(canvas, path)
