"""What several predictors say about the same far windows of a drive, and how well, by range and by frames learned.

Beside the classifier that learns online, each window has the costs of

- "row and height": the same classifier, which knows nothing of a window but its row in the image and its height over
  the ground (polynomials of degree 3);
- "same direction": the share of obstacles among the 15 windows that stereo labels in the same frame and that are
  nearest in bearing and height: what is near is continued outward;
- "stereo to 60 m": stereo, believed at every range. This rig sees far; a robot's small one does not;
- "after k frames": the online classifier as it was after its first k frames.

Standard errors are from 200 bootstrap samples of frames. Neighboring frames show the same places, so that they are
lower bounds.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from sklearn.preprocessing import PolynomialFeatures

from striate.progress import Progress
from striate.recognition import area_under_roc
from striate.robot import (
    UNKNOWN,
    BandFeatures,
    Bands,
    FarResult,
    FarTest,
    Look,
    NearToFar,
    OnlineClassifier,
    StereoLabeler,
    StereoSequence,
    WindowLabels,
    label_windows,
    replay,
)
from striate.robot.labels import FIRST_OBSTACLE, obstacle_share
from striate.robot.near_to_far import with_even_prior

__all__ = ["ONLINE", "RIVALS", "Compared", "after", "compare", "errors_by_frame", "scores"]

ONLINE = "online"
RIVALS = ("row and height", "same direction", "stereo to 60 m")

Cost = NDArray[np.float32]

_N_NEIGHBORS = 15
_BEARING, _HEIGHT = 3.0, 0.75  # degrees and meters that count as the same distance
_N_BOOTSTRAPS = 200


def after(n_frames: int) -> str:
    """The name of the predictor that has learned from so many frames."""
    return f"after {n_frames} frame{'s'[: n_frames != 1]}"


class Compared(NamedTuple):
    """The tested windows of a drive, and their costs by predictor; NaN where a predictor does not exist yet."""

    result: FarResult
    costs: dict[str, Cost]


def compare(
    sequence: StereoSequence,
    features: BandFeatures,
    *,
    first: int,
    snapshots: Sequence[int] = (),
    rivals: bool = True,
    progress: Progress,
    seed: int,
) -> Compared:
    """Replay a drive and test all predictors on its frames from `first` on, each before it learns from the frame."""
    far = _Compared(features, snapshots, rivals=rivals)
    test = FarTest(sequence.calibration, first=first)
    kept: dict[int, dict[str, Cost]] = {}
    with progress.phase("frames", total=len(sequence), unit="frames") as phase:
        for found in replay(sequence, far, random_state=seed):
            look, frame = found.look, found.frame.index
            test.add(frame, look)
            if look.probabilities is not None and frame >= first:
                kept[frame] = far.costs | ({RIVALS[2]: _by_stereo(look)} if rivals else {})
            phase.advance()
    result = test.finish()
    names = (ONLINE, *(RIVALS if rivals else ()), *(after(n) for n in snapshots))
    costs = {name: np.full(len(result.frame), np.nan, np.float32) for name in names}
    for frame in np.unique(result.frame):
        own = result.frame == frame
        for name, cost in kept[int(frame)].items():
            costs[name][own] = cost[result.window[own]]
    return Compared(result, costs)


class _Compared:
    """The classifier that learns online, with those that are compared to it; a `FarSight`."""

    costs: dict[str, Cost]

    def __init__(self, features: BandFeatures, snapshots: Sequence[int], *, rivals: bool) -> None:
        self.far, self._rivals = NearToFar(features), rivals
        self._powers = PolynomialFeatures(3, include_bias=False)
        self._position = OnlineClassifier(9)
        self._wanted, self._snapshots = frozenset(snapshots), dict[int, NearToFar]()
        self._n_frames = 0

    def see(self, bands: Bands, labels: WindowLabels) -> Cost:
        probabilities = self.far.see(bands, labels)
        self.costs = {ONLINE: obstacle_share(probabilities)}
        if self._rivals:
            self.costs |= {RIVALS[0]: self._by_position(bands, labels), RIVALS[1]: _by_direction(bands, labels)}
        for n_frames, snapshot in self._snapshots.items():
            self.costs[after(n_frames)] = obstacle_share(snapshot.predict(self.far.features_))
        self._n_frames += 1
        if self._n_frames in self._wanted:
            self._snapshots[self._n_frames] = NearToFar(self.far.features, copy.deepcopy(self.far.classifier))
        return probabilities

    def _by_position(self, bands: Bands, labels: WindowLabels) -> Cost:
        windows, camera = bands.windows, bands.calibration
        # Both of about unit variance.
        row = 10 * (windows.image_row - camera.cy) / camera.fy
        place = self._powers.fit_transform(np.stack([row, windows.height], axis=1))
        cost = np.full(len(place), 0.5, np.float32)
        classifier = self._position
        if classifier.is_ready:
            found = with_even_prior(classifier.predict_proba(place), classifier.buffer.counts > 0)
            cost = obstacle_share(found).astype(np.float32)
        known = labels.label != UNKNOWN
        classifier.update(place[known], labels.label[known].astype(np.int64))
        return cost


def _by_direction(bands: Bands, labels: WindowLabels) -> Cost:
    windows = bands.windows
    place = np.stack([np.rad2deg(np.arctan2(windows.x, windows.z)) / _BEARING, windows.height / _HEIGHT], axis=1)
    known = np.flatnonzero(labels.label != UNKNOWN)
    if not len(known):
        return np.full(len(place), 0.5, np.float32)
    obstacle = (labels.label[known] >= FIRST_OBSTACLE).astype(np.float32)
    _, nearest = cKDTree(place[known]).query(place, min(_N_NEIGHBORS, len(known)))
    found: Cost = obstacle[nearest].reshape(len(place), -1).mean(axis=1)
    return found


def _by_stereo(look: Look) -> Cost:
    assert look.bands is not None
    labels = StereoLabeler(farthest=60)(look.disparity, look.bands.calibration, look.plane)
    found = label_windows(labels.points(2), look.bands)
    sign = np.where(found.label >= FIRST_OBSTACLE, 0.5, -0.5).astype(np.float32)
    return np.where(found.label == UNKNOWN, np.float32(0.5), 0.5 + sign * found.confidence)


def scores(found: Compared, nearest: float, farthest: float, frames: range, *, seed: int) -> dict[str, Any] | None:
    """How well each predictor tells obstacles from ground at some range; None unless there are both.

    Returns
    -------
    dict
        ``n_windows``, ``n_frames``, and by predictor: ``auroc`` and ``error`` (mean of both kinds, as `RangeScore`),
        each with its ``... spread``; ``gain``, by how much the online classifier's AUROC is higher, with its spread.
    """
    result = found.result
    own = (result.range > nearest) & (result.range <= farthest)
    own &= (result.frame >= frames.start) & (result.frame < frames.stop)
    obstacle, frame = result.obstacle[own], result.frame[own]
    if not 0 < np.count_nonzero(obstacle) < len(obstacle):
        return None
    costs = {name: cost[own] for name, cost in found.costs.items() if np.isfinite(cost[own]).all()}
    members = [np.flatnonzero(frame == one) for one in np.unique(frame)]
    rng = np.random.default_rng(seed)
    drawn = [np.arange(len(obstacle))]
    while len(drawn) < 1 + _N_BOOTSTRAPS:
        some = np.concatenate([members[one] for one in rng.integers(len(members), size=len(members))])
        if 0 < np.count_nonzero(obstacle[some]) < len(some):
            drawn.append(some)
    values = {name: np.array([_score(cost[rows], obstacle[rows]) for rows in drawn]) for name, cost in costs.items()}
    report: dict[str, Any] = {"n_windows": len(obstacle), "n_frames": len(members)}
    for name, of_draws in values.items():
        (auroc, error), spread = of_draws[0], of_draws[1:].std(axis=0, ddof=1)
        gain = values[ONLINE][:, 0] - of_draws[:, 0]
        report[name] = {
            "auroc": auroc, "auroc spread": spread[0], "error": error, "error spread": spread[1], "gain": gain[0],
            "gain spread": gain[1:].std(ddof=1),
        }  # fmt: skip
    return report


def errors_by_frame(found: Compared, name: str, nearest: float, farthest: float) -> dict[int, float]:
    """The error of a predictor in each frame that shows both obstacles and ground at some range."""
    result, cost = found.result, found.costs[name]
    own = (result.range > nearest) & (result.range <= farthest) & np.isfinite(cost)
    errors = {}
    for frame in np.unique(result.frame[own]):
        rows = own & (result.frame == frame)
        obstacle = result.obstacle[rows]
        if 0 < np.count_nonzero(obstacle) < len(obstacle):
            errors[int(frame)] = _score(cost[rows], obstacle)[1]
    return errors


def _score(cost: Cost, obstacle: NDArray[np.bool_]) -> tuple[float, float]:
    high, low = cost[obstacle], cost[~obstacle]
    return area_under_roc(high, low), 0.5 * float((high <= 0.5).mean() + (low > 0.5).mean())
