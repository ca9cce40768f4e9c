"""The definitions of a source file, each as what it computes and what it refers to.

A definition is what gives a name of a module its value: a function, a class with all its methods, or the statements
that assign to the name or change its value. Its text is its syntax tree without what cannot change a number: comments,
docstrings, annotations, the texts of errors, warnings and assertions, names of local variables, and its own name. Names
of other definitions are taken out of the text and listed as references, so that the text says nothing about where a
definition is or what it is called.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from striate.experiments.engine.scopes import COMPREHENSIONS, Origin, Reference, bound, is_left_out, reference_of
from striate.experiments.engine.syntax_text import FUNCTIONS, MODULE_PATH, Definition, text_of

_SCOPES = (*FUNCTIONS, ast.ClassDef, *COMPREHENSIONS)


@dataclass
class SourceFile:
    """A file's definitions and imports.

    Parameters
    ----------
    definitions : dict of str to Definition
        By name; under ``""`` the statements that belong to no name.
    imports : dict of str to list of Origin
        What its names are imported from, under ``if TYPE_CHECKING`` too: packages load such names lazily.
    homes : dict of str to str
        Module by name, from tables for `striate.lazy.lazy_names`.
    registrations : list of (Reference, str)
        What is called, as a decorator or by a statement, with a definition of this module.
    """

    definitions: dict[str, Definition] = field(default_factory=dict)
    imports: dict[str, list[Origin]] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)
    registrations: list[tuple[Reference, str]] = field(default_factory=list)


def read_source(source: bytes) -> SourceFile:
    """Take a file's source apart."""
    found = SourceFile()
    concerned: list[tuple[ast.stmt, set[str]]] = []
    defined: set[str] = set()
    for statement in ast.parse(source).body:
        names, imports, _ = bound([statement])
        for name, origins in imports.items():
            found.imports.setdefault(name, []).extend(origins)
        if is_left_out(statement) or isinstance(statement, ast.Import | ast.ImportFrom):
            continue
        found.homes |= _homes(statement)
        defined |= names
        concerned.append((statement, names | _changed(statement)))
    parts: dict[str, list[ast.stmt]] = {}
    for statement, names in concerned:
        for name in (names & defined) or {""}:
            parts.setdefault(name, []).append(statement)
    for name, statements in parts.items():
        found.definitions[name] = text_of(name, statements, defined, found.imports)
        callees = [reference_of(callee) for statement in statements for callee in _callees(statement)]
        found.registrations += [
            (callee, name)
            for callee in callees
            if callee is not None and (callee.target in defined or callee.target in found.imports)
        ]
    return found


def _homes(statement: ast.stmt) -> dict[str, str]:
    if not isinstance(statement, ast.Assign | ast.AnnAssign) or not isinstance(statement.value, ast.Dict):
        return {}
    found = {}
    for key, value in zip(statement.value.keys, statement.value.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(value, ast.Constant):
            name, module = key.value, value.value
            if isinstance(name, str) and isinstance(module, str) and MODULE_PATH.fullmatch(module):
                found[name] = module
    return found


def _changed(statement: ast.stmt) -> set[str]:
    """Names whose values a statement of a module changes without binding them."""
    if isinstance(statement, _SCOPES):
        return set()
    names = set()
    calls_only = isinstance(statement, ast.Expr | ast.If | ast.For | ast.While | ast.With | ast.Try)
    for node in ast.walk(statement):
        if isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
            names.add(_base(node))
        elif calls_only and isinstance(node, ast.Call):
            names |= {_base(part) for part in (node.func, *node.args) if isinstance(part, ast.Attribute | ast.Name)}
    return names - {""}


def _base(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _callees(statement: ast.stmt) -> Iterator[ast.AST]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield from (part.func if isinstance(part, ast.Call) else part for part in statement.decorator_list)
        if isinstance(statement, ast.ClassDef):
            yield from statement.bases
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        yield statement.value.func
