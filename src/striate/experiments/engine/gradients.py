"""Whether a unit trains networks by gradients, and so runs the twins of layers in torch."""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path

__all__ = ["TWINS", "asks_for_gradients", "is_of_experiments"]

#: The modules that nothing but refinement runs. Classes count with all of their methods, so that every unit with a
#: hierarchy or a classifier reaches them.
TWINS = frozenset({"striate.hierarchy._torch", "striate.recognition._torch"})

_EXPERIMENTS = "striate.experiments."
_ENGINE = "striate.experiments.engine."
_ASKED_BY = {"refine", "refine_network", "to_torch", "RefinementOptions"}


def is_of_experiments(module: str) -> bool:
    """Whether a module is an experiment's, and so decides what the library is asked for."""
    return module.startswith(_EXPERIMENTS) and not module.startswith(_ENGINE)


@lru_cache(maxsize=512)
def asks_for_gradients(path: Path) -> bool:
    """Whether the code of a file names what refines a network or makes its twin; texts for people do not count."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        match node:
            case ast.Name(id=word) | ast.Attribute(attr=word) | ast.alias(name=word) | ast.keyword(arg=word):
                pass
            case ast.Constant(value=str(word)):  # the name of an option
                pass
            case _:
                continue
        if word in _ASKED_BY:
            return True
    return False
