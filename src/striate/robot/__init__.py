"""A robot's eye: what stereo shows nearby teaches a classifier that sees far.

`StereoSequence` reads a drive; `BandPyramid` cuts bands from its images in which objects have the same size at every
distance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.lazy import homes, lazy_names

if TYPE_CHECKING:
    from striate.robot.calibration import Calibration, read_calibration
    from striate.robot.plane import GroundPlane
    from striate.robot.pyramid import WINDOW, Band, BandPyramid, Bands, Windows
    from striate.robot.sequence import StereoFrame, StereoSequence, camera_fault

__all__ = [
    # a drive
    "Calibration",
    "read_calibration",
    "StereoFrame",
    "StereoSequence",
    "camera_fault",
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
    "plane": "GroundPlane",
    "pyramid": "WINDOW Band BandPyramid Bands Windows",
}

__getattr__, __dir__ = lazy_names(__name__, homes(__name__, _NAMES), __all__)
