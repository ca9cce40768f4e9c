"""Sparse codes: exact and predicted codes, and dictionaries learned from patches and digits."""
