"""Measurements of what was learned: filters beside simple cells, sheets of units beside maps of cortex, invariance."""

from __future__ import annotations

from striate.analysis.column_spacing import ColumnSpacing, column_spacing, gaussian_density
from striate.analysis.coverage import coherence, orientation_histogram, peak_frequency
from striate.analysis.gabor import GaborFits, fit_gabor
from striate.analysis.invariance import InvarianceCurve, PatchPlaces, cut_patches, invariance_curve, patch_places
from striate.analysis.map_distance import DistanceCurve, difference_with_distance
from striate.analysis.optimal_stimuli import OptimalStimuli, grating_share, optimal_stimuli
from striate.analysis.orientation_map import OrientationMap, gaussian_map, phase_randomized, shuffled
from striate.analysis.pinwheel_density import PinwheelDensity, pinwheel_density
from striate.analysis.pinwheels import NearestDistances, Pinwheels, find_pinwheels, nearest_distances
from striate.analysis.sheet import SheetMaps, sheet_maps

__all__ = [
    "ColumnSpacing",
    "DistanceCurve",
    "GaborFits",
    "InvarianceCurve",
    "NearestDistances",
    "OptimalStimuli",
    "OrientationMap",
    "PatchPlaces",
    "PinwheelDensity",
    "Pinwheels",
    "SheetMaps",
    "coherence",
    "column_spacing",
    "cut_patches",
    "difference_with_distance",
    "find_pinwheels",
    "fit_gabor",
    "gaussian_density",
    "gaussian_map",
    "grating_share",
    "invariance_curve",
    "nearest_distances",
    "optimal_stimuli",
    "orientation_histogram",
    "patch_places",
    "peak_frequency",
    "phase_randomized",
    "pinwheel_density",
    "sheet_maps",
    "shuffled",
]
