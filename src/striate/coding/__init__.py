"""Given a dictionary, find the code: the solvers."""

from striate.coding.eigenvalue import TrackedEigenvalue, largest_eigenvalue
from striate.coding.fista import fista, fista_from_gram
from striate.coding.objective import energy

__all__ = ["energy", "fista", "fista_from_gram", "largest_eigenvalue", "TrackedEigenvalue"]
