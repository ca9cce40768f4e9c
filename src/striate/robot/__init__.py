"""A robot's eye: what stereo shows nearby teaches a classifier that sees far.

`StereoSequence` reads a drive. `StereoMatcher`, `GroundFinder` and `StereoLabeler` say what is nearby; `BandPyramid`
cuts bands from an image in which objects have the same size at every distance, and `label_windows` labels their
windows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.lazy import homes, lazy_names

if TYPE_CHECKING:
    from striate.robot.calibration import Calibration, read_calibration
    from striate.robot.ground import GroundFinder, GroundFit, local_ground
    from striate.robot.labels import (
        CLASSES,
        UNKNOWN,
        LabeledPoints,
        Labels,
        StereoLabeler,
        WindowLabels,
        label_windows,
    )
    from striate.robot.plane import GroundPlane
    from striate.robot.pyramid import WINDOW, Band, BandPyramid, Bands, Windows
    from striate.robot.sequence import StereoFrame, StereoSequence, camera_fault
    from striate.robot.stereo import StereoMatcher

__all__ = [
    # a drive
    "Calibration",
    "read_calibration",
    "StereoFrame",
    "StereoSequence",
    "camera_fault",
    # what stereo says
    "StereoMatcher",
    "GroundFinder",
    "GroundFit",
    "local_ground",
    "CLASSES",
    "UNKNOWN",
    "StereoLabeler",
    "Labels",
    "LabeledPoints",
    "label_windows",
    "WindowLabels",
    # the ground, and windows of the same size at every distance
    "GroundPlane",
    "WINDOW",
    "BandPyramid",
    "Bands",
    "Band",
    "Windows",
]

_NAMES = {
    "calibration": "Calibration read_calibration",
    "sequence": "StereoFrame StereoSequence camera_fault",
    "stereo": "StereoMatcher",
    "ground": "GroundFinder GroundFit local_ground",
    "labels": "CLASSES UNKNOWN StereoLabeler Labels LabeledPoints label_windows WindowLabels",
    "plane": "GroundPlane",
    "pyramid": "WINDOW Band BandPyramid Bands Windows",
}

__getattr__, __dir__ = lazy_names(__name__, homes(__name__, _NAMES), __all__)
