"""Given a dictionary, find the code: the solvers."""

from importlib import import_module
from typing import TYPE_CHECKING

from striate.coding.certificate import Certificate, certify
from striate.coding.eigenvalue import TrackedEigenvalue, largest_eigenvalue
from striate.coding.fista import fista, fista_from_gram
from striate.coding.infer import Inference, infer
from striate.coding.objective import energy
from striate.coding.prepared_dictionary import PreparedDictionary

if TYPE_CHECKING:
    from striate.coding.sparse_coder import SparseCoder

__all__ = [
    "Certificate",
    "Inference",
    "PreparedDictionary",
    "SparseCoder",
    "TrackedEigenvalue",
    "certify",
    "energy",
    "fista",
    "fista_from_gram",
    "infer",
    "largest_eigenvalue",
]


def __getattr__(name: str) -> object:
    if name != "SparseCoder":
        raise AttributeError(f"module 'striate.coding' has no attribute {name!r}")
    # Its base classes are scikit-learn's, which takes half a second to load: only who uses it pays.
    return import_module("striate.coding.sparse_coder").SparseCoder
