"""Codes of whole images by convolution: their solvers, and what they are good for."""
