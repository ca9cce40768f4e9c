"""What was learned, measured: how close filters are to the receptive fields of simple cells."""

from __future__ import annotations

from striate.analysis.coverage import coherence, orientation_histogram, peak_frequency
from striate.analysis.gabor import GaborFits, fit_gabor

__all__ = ["GaborFits", "coherence", "fit_gabor", "orientation_histogram", "peak_frequency"]
