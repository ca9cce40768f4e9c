"""How often the signs of a code change from one video frame to the next: optimal, predicted and LISTA's codes.

A unit is −, 0 or +. Of the units that are active in a patch, some have another sign, or none, in the patch at the same
place of the next frame. This share, over what it would be for two patches drawn at random from all frames and places,
is the change ratio: 0 for a code that stays, 1 for chance. Predicted codes have no zeros: each unit gets the threshold
at which it is active in as many patches of the frames as in the optimal codes.

The cameras move by up to 40 pixels a frame, so that a place mostly shows another part of the scene. The same is
therefore also counted where the patch follows the camera, by the whole pixels at which the two frames match best.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from striate.coding import PreparedDictionary, infer
from striate.encoders import LISTA
from striate.experiments.data.natural_patches import photographs, whitened
from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.images import ImageCollection, as_images, load_mnist_digits, sample_patches
from striate.learning import PSD

NAME = "code-stability"
CLAIM = "Codes that an encoder predicts change less from one video frame to the next than optimal sparse codes do."
DATA = {"quick": (), "full": ("berkeley", "video")}

SPARSITIES = (1.0, 0.5, 2.0)  # the first is PSD's default, and decides
MIN_STD = 0.3  # of a patch, in whitened images, that counts as not flat
MARGIN = 16  # pixels that patches keep from the border
NOISE = 0.05  # of a patch's standard deviation
STEPS = 3  # of LISTA
TOLERANCE = 1e-6  # of the optimal codes' duality gap
EVERY = 4  # frames, of which one is also shifted and gets noise
FEWEST = 20  # pairs in which a unit must be active to be counted
RESAMPLES = 1000

FRAMES = ("next frame", "next frame, followed")
PAIRS = (*FRAMES, "noise", "half a pixel", "one pixel")
CONTROL = "correlations, thresholded"  # y·Dᵀ: linear filters that nothing was taught
CODES = ("optimal", "predicted", "LISTA", CONTROL)
ELSEWHERE = "predicted, thresholds from photographs"

Patches = NDArray[np.float32]
Encode = Callable[[Patches], NDArray[Any]]


def _found(results: Results, sparsity: float = SPARSITIES[0]) -> Mapping[str, Any]:
    """What the unit of that sparsity measured."""
    (estimates,) = results.select(sparsity=sparsity).column("estimates")
    found: Mapping[str, Any] = estimates
    return found


def _measurement(found: Mapping[str, Any], *, held: bool, factor: float = 1.0) -> Measurement:
    return Measurement(factor * found["value"], factor * found["error"], found["clips"], held)


def _ratio(pairs: str, code: str) -> Callable[[Results], Measurement]:
    """Change ratio of a code; it holds where the whole interval is below chance."""

    def measure(results: Results) -> Measurement:
        found = _found(results)["ratio"][pairs][code]
        return _measurement(found, held=found["high"] < 1)

    return measure


def _over_optimal(
    pairs: str, code: str = "predicted", sparsities: Iterable[float] = SPARSITIES[:1]
) -> Callable[[Results], Measurement]:
    """A code's change ratio over that of optimal codes; it holds where the whole interval is below 1."""

    def measure(results: Results) -> Measurement:
        found = [_found(results, sparsity)["over optimal"][pairs][code] for sparsity in sparsities]
        worst = max(found, key=lambda one: float(one["high"]))
        return _measurement(worst, held=worst["high"] < 1)

    return measure


def _upper_end(pairs: str) -> Callable[[Results], float]:
    return lambda results: float(_found(results)["over optimal"][pairs]["predicted"]["high"])


def _in_each_video(pairs: str) -> Callable[[Results], Measurement]:
    """Predicted over optimal change ratio; it holds where it is below 1 in every video alone."""

    def measure(results: Results) -> Measurement:
        videos = _found(results)["videos"][pairs]
        found = _found(results)["over optimal"][pairs]["predicted"]
        return _measurement(found, held=all(one["value"] < 1 for one in videos.values()))

    return measure


def _steadier_units(results: Results) -> Measurement:
    found = _found(results)["steadier units"]["next frame"]
    return _measurement(found, held=found["low"] > 0.5, factor=100)


BELOW_CHANCE = "below 1 with 95 % confidence: signs follow the image"
BELOW_OPTIMAL = "below 1 with 95 % confidence: less than that of optimal codes"


def _lower(what: str, measure: Callable[[Results], Measurement], predicate: str = BELOW_OPTIMAL) -> Figure:
    return Figure(what=what, better="lower", predicate=predicate, measure=measure)


OVER = "predicted over optimal change ratio"
WHERE = {"next frame": "same place", "next frame, followed": "camera followed"}
FIGURES = (
    *(
        Figure(
            what=f"{OVER}, {where}: upper end of the 95 % interval over clips",
            better="lower",
            goal=1.0,
            measure=_upper_end(pairs),
        )
        for pairs, where in WHERE.items()
    ),
    *(
        _lower(f"{OVER}, {where}", _in_each_video(pairs), "below 1 in each of the two videos")
        for pairs, where in WHERE.items()
    ),
    Figure(
        what="units whose predicted code has the lower change ratio, same place",
        unit="%",
        better="higher",
        predicate="more than half, with 95 % confidence",
        measure=_steadier_units,
    ),
    *(
        _lower(f"change ratio, successive frames over random pairs, {where}: {name}", _ratio(pairs, code), BELOW_CHANCE)
        for pairs, where in WHERE.items()
        for code, name in (("optimal", "optimal codes"), ("predicted", "predicted codes"), ("LISTA", "LISTA's codes"))
    ),
    _lower("LISTA's over optimal change ratio, same place", _over_optimal("next frame", "LISTA")),
    _lower(
        "change ratio of the dictionary's correlations, thresholded, over optimal, same place",
        _over_optimal("next frame", CONTROL),
    ),
    _lower(f"{OVER} under noise of 5 % of a patch's deviation", _over_optimal("noise")),
    _lower(f"{OVER} under a shift of half a pixel", _over_optimal("half a pixel")),
    _lower(f"{OVER} under a shift of a pixel", _over_optimal("one pixel")),
    _lower(f"{OVER}, same place, thresholds set on photographs", _over_optimal("next frame", ELSEWHERE)),
    _lower(
        f"{OVER}, same place, the higher of those at half and at twice the sparsity",
        _over_optimal("next frame", sparsities=SPARSITIES[1:]),
    ),
)


def units(scale: Scale) -> list[Unit]:
    """One a sparsity, each with a dictionary and an encoder of its own."""
    full = scale == "full"
    common = {
        "side": 12 if full else 8,
        "n_components": 256 if full else 32,
        "n_patches": 100_000 if full else 2000,
        "batches": 3000 if full else 60,
        "n_taught": 50_000 if full else 1000,
        "lista_batches": 2000 if full else 20,
        "spacing": 24 if full else 12,  # of the places of patches, in pixels
        "clip": 24 if full else 5,  # frames; a clip is a quarter of the image
    }
    return [
        Unit(f"sparsity {sparsity:g}", {"sparsity": sparsity, **common}, compare_codes, expected_seconds=110.0)
        for sparsity in (SPARSITIES if full else SPARSITIES[:1])
    ]


def compare_codes(settings: Settings, context: Context) -> dict[str, Any]:
    """Learn a dictionary and its encoders from photographs, code the frames, and count how often signs change."""
    sparsity = settings["sparsity"]
    scenes = _read_scenes(context, settings["side"], settings["spacing"], settings["clip"])
    natural = sample_patches(
        photographs(context, "train"),
        settings["n_patches"],
        settings["side"],
        random_state=np.random.default_rng(context.seed),
        min_std=MIN_STD,
        prepare=whitened,
    )
    psd = PSD(
        settings["n_components"], sparsity=sparsity, max_batches=settings["batches"], random_state=context.seed
    ).fit(natural, progress=context.progress)

    dictionary = PreparedDictionary(psd.components_)
    taught, frames = psd.scaled(natural[: settings["n_taught"]]), psd.scaled(scenes.patches[scenes.of_frames])
    wanted = infer(taught, dictionary, sparsity, tolerance=TOLERANCE)
    lista = LISTA.from_dictionary(dictionary, sparsity, steps=STEPS).fit(
        taught, wanted, n_batches=settings["lista_batches"], random_state=context.seed, progress=context.progress
    )
    gaps = []

    def optimize(rows: Patches) -> NDArray[Any]:
        found = infer(rows, dictionary, sparsity, tolerance=TOLERANCE, info=True)
        gaps.append(found.relative_gap.max())
        codes: NDArray[Any] = found.codes
        return codes

    def correlate(rows: Patches) -> NDArray[Any]:
        return rows @ psd.components_.T

    def signs_of(encode: Encode, thresholds: NDArray[Any] | float = 0.0) -> NDArray[np.int8]:
        starts = range(0, len(scenes.patches), 1 << 14)
        blocks = [_signs(encode(psd.scaled(scenes.patches[i : i + (1 << 14)])), thresholds) for i in starts]
        return np.concatenate(blocks)

    predict = psd.predictor_.encode
    signs = {"optimal": signs_of(optimize)}
    active = (signs["optimal"][scenes.of_frames] != 0).mean(axis=0)
    signs |= {
        "predicted": signs_of(predict, _thresholds(predict(frames), active)),
        "LISTA": signs_of(lista.encode),
        CONTROL: signs_of(correlate, _thresholds(correlate(frames), active)),
        ELSEWHERE: signs_of(predict, _thresholds(predict(taught), (wanted != 0).mean(axis=0))),
    }
    return {
        **_compare(signs, scenes, context.seed),
        "active fraction": {code: float(np.mean(found[scenes.of_frames] != 0)) for code, found in signs.items()},
        "largest relative gap": float(max(gaps)),
        "patches": int(scenes.of_frames.sum()),
        "batches": psd.n_batches_,
    }


class Scenes(NamedTuple):
    """Patches of whitened frames at fixed places, and which of them make pairs.

    Attributes
    ----------
    patches : float32 (n_patches, side²)
        Of the frames, then the same disturbed; none of a frame is flat.
    of_frames : bool (n_patches,)
        Which are of the frames themselves.
    pairs : mapping of str to int64 (n_pairs, 3)
        The row before, the row after, and the clip.
    videos : tuple of str, one a clip
        The video that it is from.
    """

    patches: Patches
    of_frames: NDArray[np.bool_]
    pairs: Mapping[str, NDArray[np.int64]]
    videos: tuple[str, ...]


def _read_scenes(context: Context, side: int, spacing: int, clip_length: int) -> Scenes:
    """Cut the videos: places on a grid, clips of a quarter of the image and so many frames."""
    rng = np.random.default_rng(context.seed)
    parts: list[Patches] = []
    of_frames: list[bool] = []
    pairs: dict[str, list[NDArray[np.int64]]] = {name: [] for name in PAIRS}
    videos: list[str] = []
    n_rows = 0

    def added(patches: Patches, *, own: bool) -> NDArray[np.int64]:
        nonlocal n_rows
        rows = np.arange(n_rows, n_rows + len(patches))
        n_rows += len(patches)
        parts.append(patches)
        of_frames.extend([own] * len(patches))
        return rows

    for video, frames in _videos(context).items():
        height, width = frames[0].shape[1:]
        tops = np.arange(MARGIN, height - MARGIN - side, spacing)
        lefts = np.arange(MARGIN, width - MARGIN - side, spacing)
        lower, right = (2 * np.arange(len(starts)) // len(starts) for starts in (tops, lefts))
        quarter = (2 * lower[:, None] + right).ravel()
        n_segments = max(1, round((len(frames) - 1) / clip_length))
        segment = np.arange(len(frames) - 1) * n_segments // (len(frames) - 1)
        clips = len(videos) + 4 * segment[:, None] + quarter

        own, followed, shifted = [], [], {}
        previous: NDArray[np.float32] | None = None
        with context.progress.phase(f"frames of {video}", total=len(frames), unit="frames") as phase:
            for t, image in enumerate(frames):
                frame = whitened(image)[0]
                own.append(_cut(frame, tops, lefts, side))
                if previous is not None:
                    followed.append(_follow(previous, frame, tops, lefts, side))
                previous = frame
                if t % EVERY == 0 and t < len(frames) - 1:
                    shifted[t] = {
                        "half a pixel": [_cut(_shifted(frame, *by), tops, lefts, side) for by in ((0.5, 0), (0, 0.5))],
                        "one pixel": [_cut(frame, tops + 1, lefts, side), _cut(frame, tops, lefts + 1, side)],
                    }
                phase.advance()
        patches = np.stack(own)  # (frames, places, side²)
        structured = patches.std(axis=2) > MIN_STD
        rows = np.full(structured.shape, -1)
        rows[structured] = added(patches[structured], own=True)

        both = structured[:-1] & structured[1:]
        pairs["next frame"].append(np.stack([rows[:-1][both], rows[1:][both], clips[both]], axis=1))
        moved = np.stack([found for found, _ in followed])
        chosen = np.stack([inside for _, inside in followed]) & structured[:-1] & (moved.std(axis=2) > MIN_STD)
        after = added(moved[chosen], own=False)
        pairs["next frame, followed"].append(np.stack([rows[:-1][chosen], after, clips[chosen]], axis=1))
        for t, by_name in shifted.items():
            chosen = structured[t]
            before = patches[t][chosen]
            noise = NOISE * before.std(axis=1, keepdims=True) * rng.standard_normal(before.shape, dtype=np.float32)
            for name, variants in {"noise": [before + noise], **by_name}.items():
                for variant in variants:
                    after = added(variant if name == "noise" else variant[chosen], own=False)
                    pairs[name].append(np.stack([rows[t][chosen], after, clips[t][chosen]], axis=1))
        videos += [video] * (4 * n_segments)
    return Scenes(
        np.concatenate(parts),
        np.array(of_frames),
        {name: np.concatenate(found) for name, found in pairs.items()},
        tuple(videos),
    )


def _cut(frame: NDArray[np.floating], tops: NDArray[np.int64], lefts: NDArray[np.int64], side: int) -> Patches:
    """Patches at all these rows and columns, one a row."""
    windows = sliding_window_view(frame, (side, side))[tops[:, None], lefts]
    return windows.reshape(-1, side * side).astype(np.float32)


def _follow(
    previous: NDArray[np.float32],
    frame: NDArray[np.float32],
    tops: NDArray[np.int64],
    lefts: NDArray[np.int64],
    side: int,
) -> tuple[Patches, NDArray[np.bool_]]:
    """Patches at the places to which the camera's motion has carried them, and which of these are in the image."""
    height, width = frame.shape
    match = np.fft.irfft2(np.fft.rfft2(frame) * np.conj(np.fft.rfft2(previous)), frame.shape)
    down, right = (int(found) for found in np.unravel_index(match.argmax(), match.shape))
    tops = tops + (down + height // 2) % height - height // 2
    lefts = lefts + (right + width // 2) % width - width // 2
    inside = ((tops >= 0) & (tops <= height - side))[:, None] & (lefts >= 0) & (lefts <= width - side)
    patches = _cut(frame, tops.clip(0, height - side), lefts.clip(0, width - side), side)
    return patches, inside.ravel()


def _shifted(frame: NDArray[np.floating], down: float, right: float) -> NDArray[np.float64]:
    """The frame of a camera turned by parts of a pixel: a phase in its spectrum."""
    padded = np.pad(frame.astype(np.float64), MARGIN, mode="symmetric")
    height, width = padded.shape
    cycles = down * np.fft.fftfreq(height)[:, None] + right * np.fft.rfftfreq(width)
    moved = np.fft.irfft2(np.fft.rfft2(padded) * np.exp(2j * np.pi * cycles), padded.shape)
    return moved[MARGIN:-MARGIN, MARGIN:-MARGIN]


def _videos(context: Context) -> dict[str, ImageCollection]:
    if context.scale == "full":
        return {name: as_images(context.data("video") / name) for name in ("tennis", "bag")}
    digits, _ = load_mnist_digits()
    rng = np.random.default_rng(context.seed)
    picture = np.block([[image[0] for image in digits[first::625]] for first in range(6)])
    drift = np.cumsum(rng.uniform(-0.7, 0.7, (16, 2)), axis=0)
    frames = np.stack([_shifted(picture, *by) for by in drift]).astype(np.float32)
    return {"drifting digits": as_images(frames[:, None])}


def _thresholds(codes: NDArray[Any], active: NDArray[np.float64]) -> NDArray[Any]:
    """For each unit, the magnitude that so large a share of its codes exceeds."""
    n_active = np.rint(active * len(codes)).astype(np.int64)
    last_inactive = np.maximum(len(codes) - 1 - n_active, 0)
    magnitudes = np.ascontiguousarray(np.abs(codes).T)
    return np.array([np.partition(unit, last)[last] for unit, last in zip(magnitudes, last_inactive, strict=True)])


def _signs(codes: NDArray[Any], thresholds: NDArray[Any] | float = 0.0) -> NDArray[np.int8]:
    """−1, 0 or 1: 0 up to the threshold."""
    return (codes > thresholds).astype(np.int8) - (codes < -thresholds).astype(np.int8)


def _compare(signs: Mapping[str, NDArray[np.int8]], scenes: Scenes, seed: int) -> dict[str, Any]:
    """Change ratios of the codes with intervals over clips, and the tables of transitions."""
    n_clips = len(scenes.videos)
    rng = np.random.default_rng(seed)
    weights = _resampled(np.ones(n_clips, bool), rng)
    estimates: dict[str, Any] = {"ratio": {}, "over optimal": {}, "change": {}, "change at random": {}}
    estimates |= {"steadier units": {}, "videos": {}}
    facts: dict[str, Any] = {"units counted": {}, "unit ratios": {}, "tables": {}}
    for name, pairs in scenes.pairs.items():
        counts = {code: _transitions(found, pairs, n_clips) for code, found in signs.items()}
        n_active = np.minimum(*(counts[code][:, :, ::2].sum(axis=(0, 2, 3)) for code in ("optimal", "predicted")))
        counts = {code: found[:, n_active >= FEWEST] for code, found in counts.items()}
        rates = {code: _rates(weights, found) for code, found in counts.items()}
        ratios = {code: _ratio_over_units(found) for code, found in rates.items()}
        estimates["ratio"][name] = {code: _estimate(found, n_clips) for code, found in ratios.items()}
        estimates["over optimal"][name] = {
            code: _estimate(found / ratios["optimal"], n_clips) for code, found in ratios.items() if code != "optimal"
        }
        for key in ("change", "change at random"):
            estimates[key][name] = {
                code: _estimate(np.nanmean(found[key], axis=1), n_clips) for code, found in rates.items()
            }
        if name not in FRAMES:
            continue
        by_unit = {code: rates[code]["change"] / rates[code]["change at random"] for code in ("optimal", "predicted")}
        known = np.isfinite(by_unit["predicted"] + by_unit["optimal"])
        steadier = (by_unit["predicted"] < by_unit["optimal"]).sum(axis=1) / known.sum(axis=1)
        estimates["steadier units"][name] = _estimate(steadier, n_clips)
        estimates["videos"][name] = {}
        for video in dict.fromkeys(scenes.videos):
            chosen = np.array(scenes.videos) == video
            alone = _resampled(chosen, rng)
            predicted, optimal = (_ratio_over_units(_rates(alone, counts[code])) for code in ("predicted", "optimal"))
            estimates["videos"][name][video] = _estimate(predicted / optimal, int(chosen.sum()))
        facts["units counted"][name] = counts["optimal"].shape[1]
        facts["unit ratios"][name] = {code: found[0].round(4) for code, found in by_unit.items()}
        facts["tables"][name] = {code: _table(found.sum(axis=(0, 1))) for code, found in counts.items()}
        if name == "next frame":
            share = counts["optimal"].sum(axis=(0, 3))
            share = share / share.sum(axis=1, keepdims=True)
            facts["tables"]["random"] = {"optimal": _table((share[:, :, None] * share[:, None, :]).sum(axis=0))}
    return {"estimates": estimates, "clips": n_clips, "pairs": {n: len(p) for n, p in scenes.pairs.items()}, **facts}


def _resampled(clips: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    """How often each clip is drawn, (1 + n_resamples, n_clips); the first row is the sample itself."""
    n_clips = int(clips.sum())
    weights = np.zeros((1 + RESAMPLES, len(clips)), np.int64)
    weights[0, clips] = 1
    weights[1:, clips] = rng.multinomial(n_clips, np.full(n_clips, 1 / n_clips), size=RESAMPLES)
    return weights


def _transitions(signs: NDArray[np.int8], pairs: NDArray[np.int64], n_clips: int) -> NDArray[np.int64]:
    """How many pairs go from each sign to each, −, 0 and + in this order: (n_clips, n_units, 3, 3)."""
    counts = np.zeros((n_clips, signs.shape[1], 9), np.int64)
    for clip in range(n_clips):
        before, after, _ = pairs[pairs[:, 2] == clip].T
        transition = 3 * signs[before] + signs[after] + 4  # 0 to 8
        for k in range(9):
            counts[clip, :, k] = (transition == k).sum(axis=0)
    return counts.reshape(n_clips, -1, 3, 3)


def _rates(weights: NDArray[np.int64], counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """How probably an active unit changes, in a pair and in two patches at random: (1 + n_resamples, n_units) each.

    The second is exact: two patches drawn from all that come first in a pair.
    """
    found = np.tensordot(weights.astype(np.float64), counts.astype(np.float64), 1)
    before = found.sum(axis=3)
    active = before[..., 0] + before[..., 2]
    same = before[..., 0] ** 2 + before[..., 2] ** 2
    with np.errstate(invalid="ignore"):  # a unit that is never active has no rate
        return {
            "change": 1 - (found[..., 0, 0] + found[..., 2, 2]) / active,
            "change at random": 1 - same / (active * before.sum(axis=2)),
        }


def _ratio_over_units(rates: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """The change ratio of each unit, averaged over units."""
    mean: NDArray[np.float64] = np.nanmean(rates["change"] / rates["change at random"], axis=1)
    return mean


def _estimate(values: NDArray[np.float64], n_clips: int) -> dict[str, float | int]:
    """The sample's value, the first, with the others' 95 % interval and deviation."""
    low, high = np.percentile(values[1:], [2.5, 97.5])
    named = {"value": values[0], "low": low, "high": high, "error": values[1:].std()}
    return {name: round(float(value), 4) for name, value in named.items()} | {"clips": n_clips}


def _table(counts: NDArray[Any]) -> list[list[float]]:
    """Of the pairs that begin with a sign, the share that ends with each."""
    shares: list[list[float]] = (counts / counts.sum(axis=1, keepdims=True)).round(4).tolist()
    return shares


COLORS = {
    "optimal": "#b3541e",
    "predicted": "#1f5f99",
    "LISTA": "#2a7f4f",
    CONTROL: "#999999",
}


MARKERS = {"next frame": "o", "next frame, followed": "s"}


def draw(results: Results, path: Path) -> None:
    """Tables of transitions, change ratios under every disturbance, and predicted over optimal in all cases."""
    names = [unit.name for unit in results]
    found = results[names[0]]
    canvas = new_canvas(12.5, 11.5)
    tables, below = canvas.subfigures(2, 1, height_ratios=(1.3, 1))
    places = tables.subplots(2, 4)
    for row, pairs, tag in zip(places, FRAMES, ("same place", "camera followed"), strict=True):
        for axes, code, name in zip(row, CODES, ("(a) optimal", "(b) predicted", "LISTA"), strict=False):
            _draw_table(axes, np.array(found["tables"][pairs][code]), f"{name}: next frame, {tag}")
    _draw_table(places[0, 3], np.array(found["tables"]["random"]["optimal"]), "(c) optimal: random pairs")
    _draw_units(places[1, 3], found)
    by_disturbance, cases = below.subplots(1, 2, width_ratios=(1.7, 1))
    _draw_ratios(by_disturbance, found["estimates"]["ratio"])
    _draw_cases(cases, results, names)
    save_canvas(canvas, path)


def _draw_table(axes: Any, table: NDArray[np.float64], title: str) -> None:
    axes.imshow(table, cmap="Blues", vmin=0, vmax=1.15)
    for i in range(3):
        for j in range(3):
            color = "white" if table[i, j] > 0.6 else "black"
            axes.text(j, i, f"{100 * table[i, j]:.1f}", ha="center", va="center", color=color, fontsize=10)
    axes.set_xticks(range(3), list("−0+"))
    axes.set_yticks(range(3), list("−0+"))
    axes.set_xlabel("to")
    axes.set_ylabel("from; % of a row")
    axes.set_title(title, fontsize=10)


def _draw_units(axes: Any, found: Mapping[str, Any]) -> None:
    """The change ratio of each unit, optimal and predicted."""
    axes.plot([0, 1], [0, 1], color="#888888", linewidth=0.8)
    for pairs, color in zip(FRAMES, (COLORS["predicted"], "#7fb2e0"), strict=True):
        x, y = (found["unit ratios"][pairs][code] for code in ("optimal", "predicted"))
        share = found["estimates"]["steadier units"][pairs]["value"]
        label = f"{WHERE[pairs]}: {100 * share:.0f} % below"
        axes.plot(x, y, MARKERS[pairs], color=color, markersize=2.5, label=label)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("change ratio, optimal")
    axes.set_ylabel("change ratio, predicted")
    axes.set_title("units, one by one", fontsize=10)
    axes.legend(fontsize=8, frameon=False, loc="upper left")


def _draw_ratios(axes: Any, ratios: Mapping[str, Any]) -> None:
    for k, code in enumerate(CODES):
        points = [ratios[name][code] for name in PAIRS]
        values = np.array([point["value"] for point in points])
        errors = np.abs(np.array([[point["low"], point["high"]] for point in points]).T - values)
        middles = np.arange(len(PAIRS)) + 0.19 * (k - 1.5)
        axes.bar(middles, values, 0.18, yerr=errors, color=COLORS[code], label=code, error_kw={"linewidth": 1})
    axes.axhline(1, color="#888888", linewidth=0.8, linestyle=":")
    labels = [f"next frame,\n{where}" for where in WHERE.values()]
    labels += [f"noise of {100 * NOISE:.0f} %\nof deviation", "shift by\nhalf a pixel", "shift by\none pixel"]
    axes.set_xticks(range(len(PAIRS)), labels, fontsize=9)
    axes.set_ylabel("change ratio: 1 is chance; 95 % intervals")
    axes.legend(fontsize=9, frameon=False, loc="upper right", bbox_to_anchor=(1, 0.97))


def _draw_cases(axes: Any, results: Results, names: list[str]) -> None:
    """Predicted over optimal change ratio: all together, each video, other thresholds, other sparsities."""
    found = results[names[0]]["estimates"]
    for shift, pairs, color in zip((-0.12, 0.12), FRAMES, (COLORS["predicted"], "#7fb2e0"), strict=True):
        cases = {
            names[0]: found["over optimal"][pairs]["predicted"],
            **{f"{video} alone": found["videos"][pairs][video] for video in sorted(found["videos"][pairs])},
            "thresholds from\nphotographs": found["over optimal"][pairs][ELSEWHERE],
            **{name: results[name]["estimates"]["over optimal"][pairs]["predicted"] for name in names[1:]},
        }
        values = np.array([case["value"] for case in cases.values()])
        errors = np.abs(np.array([[case["low"], case["high"]] for case in cases.values()]).T - values)
        rows = np.arange(len(cases)) + shift
        axes.errorbar(values, rows, xerr=errors, fmt=MARKERS[pairs], color=color, capsize=3, label=WHERE[pairs])
        axes.set_yticks(range(len(cases)), cases)
    axes.axvline(1, color="#888888", linewidth=0.8)
    axes.invert_yaxis()
    axes.set_xlabel("predicted over optimal change ratio; 95 % intervals")
    axes.legend(fontsize=9, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
