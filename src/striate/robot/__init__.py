"""A robot's eye: what stereo shows nearby teaches a classifier that sees far.

`RobotEye` turns pairs of images into maps of costs; `replay` does so for a recorded drive, and `FarTest` tests what it
saw beyond stereo. The parts: `StereoSequence` reads a drive; `StereoMatcher`, `GroundFinder` and `StereoLabeler` say
what is nearby; `BandPyramid` cuts bands from an image in which objects have the same size at every distance, and
`label_windows` labels their windows; `GroundGrid` averages over time. `learn_features` learns what describes a window,
in one of seven ways, and `OnlineClassifier` learns from every frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.lazy import homes, lazy_names

if TYPE_CHECKING:
    from striate.robot.annotation import annotated, write_clip
    from striate.robot.calibration import Calibration, read_calibration
    from striate.robot.driving import Course, Driver, DriveResult, IdealSight, random_course
    from striate.robot.extractors import EXTRACTORS, learn_features
    from striate.robot.eye import FarSight, Look, RobotEye
    from striate.robot.far_test import RANGES, FarResult, FarTest, RangeScore
    from striate.robot.features import BandFeatures, CenterFeatures, NetworkFeatures, features_of_state
    from striate.robot.grid import CostMap, GroundGrid, GroundPose, ground_pose
    from striate.robot.ground import GroundFinder, GroundFit, local_ground
    from striate.robot.labels import CLASSES, UNKNOWN, LabeledPoints, Labels, StereoLabeler
    from striate.robot.lagr import LabeledFrame, read_labeled_frame, read_labeled_frames
    from striate.robot.near_to_far import NearToFar, features_of_bands
    from striate.robot.odometry import VisualOdometry
    from striate.robot.online_classifier import ClassBuffer, OnlineClassifier, Update
    from striate.robot.plane import GroundPlane
    from striate.robot.planning import Planner, pure_pursuit
    from striate.robot.pyramid import WINDOW, Band, BandPyramid, Bands, Windows
    from striate.robot.recorded import PHASES, DriveFeatures, ReplayedFrame, learn_features_of_drive, replay
    from striate.robot.sequence import StereoFrame, StereoSequence, camera_fault
    from striate.robot.stereo import StereoMatcher
    from striate.robot.truth import DueLabels, FutureLabels, LabelSchedule, Sighting, labels_from_future, sighting
    from striate.robot.window_labels import WindowLabels, label_windows
    from striate.robot.world import Box, Texture, View, World, camera_pose, noise_texture

__all__ = [
    "RobotEye",
    "Look",
    "FarSight",
    # a drive
    "Calibration",
    "read_calibration",
    "StereoFrame",
    "StereoSequence",
    "camera_fault",
    # a recorded drive, seen again and tested
    "replay",
    "PHASES",
    "ReplayedFrame",
    "learn_features_of_drive",
    "DriveFeatures",
    "FarTest",
    "FarResult",
    "RangeScore",
    "RANGES",
    "annotated",
    "write_clip",
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
    # labels of far windows, for tests and training
    "Sighting",
    "sighting",
    "FutureLabels",
    "labels_from_future",
    "LabelSchedule",
    "DueLabels",
    "LabeledFrame",
    "read_labeled_frame",
    "read_labeled_frames",
    # a map of the ground
    "VisualOdometry",
    "GroundPose",
    "ground_pose",
    "GroundGrid",
    "CostMap",
    # a simulated drive
    "Planner",
    "pure_pursuit",
    "Driver",
    "DriveResult",
    "IdealSight",
    "Course",
    "random_course",
    "World",
    "Box",
    "Texture",
    "noise_texture",
    "View",
    "camera_pose",
    # features of windows, and of whole bands
    "EXTRACTORS",
    "learn_features",
    "BandFeatures",
    "NetworkFeatures",
    "CenterFeatures",
    "features_of_state",
    # learning from frame to frame
    "OnlineClassifier",
    "Update",
    "ClassBuffer",
    "NearToFar",
    "features_of_bands",
]

_NAMES = {
    "eye": "RobotEye Look FarSight",
    "recorded": "PHASES DriveFeatures ReplayedFrame learn_features_of_drive replay",
    "far_test": "RANGES FarResult FarTest RangeScore",
    "annotation": "annotated write_clip",
    "calibration": "Calibration read_calibration",
    "sequence": "StereoFrame StereoSequence camera_fault",
    "stereo": "StereoMatcher",
    "ground": "GroundFinder GroundFit local_ground",
    "labels": "CLASSES UNKNOWN StereoLabeler Labels LabeledPoints",
    "window_labels": "WindowLabels label_windows",
    "plane": "GroundPlane",
    "truth": "Sighting sighting FutureLabels labels_from_future LabelSchedule DueLabels",
    "lagr": "LabeledFrame read_labeled_frame read_labeled_frames",
    "odometry": "VisualOdometry",
    "grid": "GroundPose ground_pose GroundGrid CostMap",
    "planning": "Planner pure_pursuit",
    "driving": "Course Driver DriveResult IdealSight random_course",
    "world": "Box Texture View World camera_pose noise_texture",
    "pyramid": "WINDOW Band BandPyramid Bands Windows",
    "extractors": "EXTRACTORS learn_features",
    "features": "BandFeatures NetworkFeatures CenterFeatures features_of_state",
    "near_to_far": "NearToFar features_of_bands",
    "online_classifier": "OnlineClassifier Update ClassBuffer",
}

__getattr__, __dir__ = lazy_names(__name__, homes(__name__, _NAMES), __all__)
