"""A recorded drive, seen again frame by frame: what a robot would have known, and how long it would have taken."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError, one_line
from striate.parameters import Integer, checked
from striate.progress import Progress
from striate.robot.extractors import learn_features
from striate.robot.eye import FarSight, Look, RobotEye
from striate.robot.features import BandFeatures
from striate.robot.grid import CostMap
from striate.robot.labels import UNKNOWN
from striate.robot.sequence import StereoFrame, StereoSequence
from striate.samples import evenly_spread

__all__ = ["PHASES", "DriveFeatures", "ReplayedFrame", "learn_features_of_drive", "replay"]

PHASES = ("reading", "stereo", "bands", "features", "learning", "map")
"""What a frame's time is spent on, in this order."""


class ReplayedFrame(NamedTuple):
    """A frame of a drive, and what a robot's eye made of it.

    Attributes
    ----------
    frame : StereoFrame
    look : Look
        What was found in the frame.
    costs : CostMap
        What was known after it.
    problems : tuple of str
        Why the frame says nothing, in whole sentences; empty when all went well.
    seconds : dict of str to float
        By phase, in the order of `PHASES`.
    """

    frame: StereoFrame
    look: Look
    costs: CostMap
    problems: tuple[str, ...]
    seconds: dict[str, float]


class DriveFeatures(NamedTuple):
    """Features that were learned from the beginning of a drive.

    Attributes
    ----------
    features : BandFeatures
    frames : tuple of int
        Places of the frames that they were learned from.
    """

    features: BandFeatures
    frames: tuple[int, ...]


def replay(
    sequence: StereoSequence, far: FarSight | None = None, *, n_frames: int | None = None, random_state: int = 0
) -> Iterator[ReplayedFrame]:
    """Drive a recorded sequence again, with a new `RobotEye`.

    Parameters
    ----------
    sequence : StereoSequence
        Its poses are used where it has them; otherwise visual odometry follows the camera.
    far : FarSight, optional
        What sees beyond stereo, such as a `NearToFar`; it learns on the way.
    n_frames : int, optional
        End after so many frames; by default, after the last one.
    random_state : int, default 0
        Of the search for the ground.

    Yields
    ------
    ReplayedFrame
        One after another, as they are asked for; nothing is kept.

    Raises
    ------
    UsageError
        If OpenCV is not installed, or an image has another size than the first one.

    Examples
    --------
    >>> from striate.robot import NearToFar, StereoSequence, learn_features_of_drive, replay
    >>> sequence = StereoSequence("stereo/kitti-grey")  # doctest: +SKIP
    >>> features = learn_features_of_drive(sequence).features  # doctest: +SKIP
    >>> for found in replay(sequence, NearToFar(features)):  # doctest: +SKIP
    ...     print(found.frame.name, found.costs.cost.shape, found.problems)
    """
    n_frames = len(sequence) if n_frames is None else checked("n_frames of a replay", n_frames, Integer(low=1))
    eye = RobotEye(sequence.calibration, far, random_state=random_state)
    for index in range(min(n_frames, len(sequence))):
        began = time.perf_counter()
        frame = sequence[index]
        reading = time.perf_counter() - began
        costs = eye.update(frame.left, frame.right, pose=frame.pose)
        seconds = dict.fromkeys(PHASES, 0.0) | {"reading": reading, "learning": eye.seconds_["far"]}
        seconds |= {phase: eye.seconds_[phase] for phase in ("stereo", "bands", "map")}
        if eye.look_.probabilities is not None:
            seconds |= getattr(far, "seconds_", {})
        # The sequence knows best why an image is missing.
        yield ReplayedFrame(frame, eye.look_, costs, frame.problems or eye.look_.problems, seconds)


def learn_features_of_drive(
    sequence: StereoSequence,
    kind: str = "drlim",
    *,
    n_frames: int = 5,
    per_frame: int = 2000,
    progress: Progress | None = None,
    random_state: int = 0,
) -> DriveFeatures:
    """Learn features from the beginning of a drive, with the labels that stereo gives.

    Only windows that stereo labels, which are near, are learned from, so that the far windows that a test asks for are
    new. A kind that learns from labels has nevertheless seen the places that are labeled in these frames: test it on
    later ones.

    Parameters
    ----------
    sequence : StereoSequence
    kind : str, default "drlim"
        One of `EXTRACTORS`. Of the seven, the default is the best or near the best on both drives that `near-to-far`
        reports, on which it was chosen; "rbf" is quicker, and as good on one of them.
    n_frames : int, default 5
        Frames that are learned from: the first ones with stereo and ground.
    per_frame : int, default 2000
        The most windows of a frame, evenly spread.
    progress : Progress, optional
    random_state : int, default 0

    Returns
    -------
    DriveFeatures

    Raises
    ------
    UsageError
        If no frame shows stereo and ground, or the labels are all of one class and the kind is a supervised one.
    """
    n_frames = checked("n_frames to learn from", n_frames, Integer(low=1))
    per_frame = checked("per_frame", per_frame, Integer(low=1))
    windows, labels, frames = [], [], []
    problems: tuple[str, ...] = ()
    for found in replay(sequence, random_state=random_state):
        near, bands = found.look.windows, found.look.bands
        labeled = np.flatnonzero(near.label != UNKNOWN) if near is not None else np.empty(0, np.int64)
        if near is None or bands is None or not labeled.size:
            problems = problems or found.problems
            continue
        chosen = labeled[evenly_spread(len(labeled), per_frame)]
        windows.append(bands.cut(chosen))
        labels.append(near.label[chosen].astype(np.int64))
        frames.append(found.frame.index)
        if len(frames) == n_frames:
            break
    if not frames:
        why = " ".join(problems).rstrip(".") or "Stereo labels nothing"
        raise UsageError(
            f"{one_line(str(sequence.folder))}: none of the {len(sequence)} frames shows where the ground is, so that "
            f"the whole map stays unknown; the first frame: {why[0].lower()}{why[1:]}"
        )
    known: NDArray[np.int64] = np.concatenate(labels)
    # Where all is ground, say, windows are compared with their nearest neighbors.
    without = kind == "drlim" and len(np.unique(known)) < 2
    features = learn_features(
        kind, np.concatenate(windows), None if without else known, progress=progress, random_state=random_state
    )
    return DriveFeatures(features, tuple(frames))
