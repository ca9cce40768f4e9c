"""Predict the code in one pass."""
