"""Sparse codes: exact and predicted, what dictionaries learn from patches and digits."""
