"""Predict the code in one pass."""

from striate.encoders.tanh import TanhEncoder, TanhGradients

__all__ = ["TanhEncoder", "TanhGradients"]
