"""What was learned, measured: how close filters are to the receptive fields of simple cells."""

from __future__ import annotations

from striate.analysis.gabor import GaborFits, fit_gabor

__all__ = ["GaborFits", "fit_gabor"]
