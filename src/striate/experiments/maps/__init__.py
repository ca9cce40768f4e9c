"""Invariant features and maps: pools that are learned, and what neighboring units have in common."""
