"""Measurements of what was learned: filters beside simple cells, sheets of units beside maps of cortex, invariance."""

from __future__ import annotations

from striate.analysis.column_spacing import ColumnSpacing, column_spacing, gaussian_density
from striate.analysis.coverage import coherence, orientation_histogram, peak_frequency
from striate.analysis.gabor import GaborFits, fit_gabor
from striate.analysis.optimal_stimuli import OptimalStimuli, grating_share, optimal_stimuli
from striate.analysis.orientation_map import OrientationMap, gaussian_map, phase_randomized, shuffled
from striate.analysis.pinwheel_density import PinwheelDensity, pinwheel_density
from striate.analysis.pinwheels import NearestDistances, Pinwheels, find_pinwheels, nearest_distances

__all__ = [
    "ColumnSpacing",
    "GaborFits",
    "NearestDistances",
    "OptimalStimuli",
    "OrientationMap",
    "PinwheelDensity",
    "Pinwheels",
    "coherence",
    "column_spacing",
    "find_pinwheels",
    "fit_gabor",
    "gaussian_density",
    "gaussian_map",
    "grating_share",
    "nearest_distances",
    "optimal_stimuli",
    "orientation_histogram",
    "peak_frequency",
    "phase_randomized",
    "pinwheel_density",
    "shuffled",
]
