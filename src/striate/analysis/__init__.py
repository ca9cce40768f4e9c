"""Measurements of what was learned: how close filters are to the receptive fields of simple cells."""

from __future__ import annotations

from striate.analysis.coverage import coherence, orientation_histogram, peak_frequency
from striate.analysis.gabor import GaborFits, fit_gabor
from striate.analysis.optimal_stimuli import OptimalStimuli, grating_share, optimal_stimuli

__all__ = [
    "GaborFits",
    "OptimalStimuli",
    "coherence",
    "fit_gabor",
    "grating_share",
    "optimal_stimuli",
    "orientation_histogram",
    "peak_frequency",
]
