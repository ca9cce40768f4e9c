"""The names of a scope: what a module, function or class binds, imports and refers to."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Origin:
    """Where a name comes from: ``from .module import name``; without a name the module itself."""

    module: str
    name: str | None = None
    level: int = 0


@dataclass(frozen=True)
class Reference:
    """A name of the module (a string) or an import inside a function, with the attributes that follow it."""

    target: str | Origin
    attributes: tuple[str, ...] = ()
    changes: bool = False  # the value that is referred to is changed: a method of it is called, or an item set


class Scope:
    """Names of a function, class or comprehension while its text is written."""

    def __init__(self, names: set[str], imports: dict[str, list[Origin]], elsewhere: set[str], kind: str) -> None:
        self.names = names
        self.imports = imports
        self.elsewhere = elsewhere
        self.kind = kind
        self.parameters: set[str] = set()
        self.numbers: dict[str, int] = {}


def bound(statements: Sequence[ast.AST]) -> tuple[set[str], dict[str, list[Origin]], set[str]]:
    """Names that a scope's statements bind, those that they import, and those that they declare global."""
    names: set[str] = set()
    imports: dict[str, list[Origin]] = {}
    elsewhere: set[str] = set()
    waiting = list(statements)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            continue
        if isinstance(node, (ast.Lambda, *COMPREHENSIONS)):
            # Only a walrus reaches out of a comprehension.
            names |= {inner.target.id for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr)}
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                module = alias.name if alias.asname else alias.name.partition(".")[0]
                imports.setdefault(alias.asname or module, []).append(Origin(module))
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                origin = Origin(node.module or "", alias.name, node.level)
                imports.setdefault(alias.asname or alias.name, []).append(origin)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            elsewhere |= set(node.names)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            names.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            names.add(node.rest)
        waiting += ast.iter_child_nodes(node)
    return names - elsewhere, imports, elsewhere


def reference_of(node: ast.AST) -> Reference | None:
    """Return what a name, or a name with attributes, refers to; None for another expression."""
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return Reference(node.id, tuple(reversed(attributes))) if isinstance(node, ast.Name) else None


def is_left_out(statement: ast.stmt) -> bool:
    """Whether a statement of a module or function is a docstring, for type checkers, or for ``python -m``."""
    if isinstance(statement, ast.Pass):
        return True
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.If):
        test = ast.unparse(statement.test)
        return test in {"TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'"} and not statement.orelse
    return False
