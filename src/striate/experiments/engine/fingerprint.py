"""What a unit's result depends on beside its settings: the code that computed it, and the data.

**Code.** The cache must not hand out numbers that today's code would not give, nor throw away forty minutes
for a docstring. So the fingerprint covers the experiment's module and every module of striate that it reaches
through imports (lazy ones included), each as its syntax tree without comments, docstrings, annotations of
functions and the texts of raised errors. Names re-exported by a folder's ``__init__.py`` lead to the file
that defines them, so that a new learner does not outdate the experiments on other learners. Left out are the
modules that show, report and run, and compute no number (`_SILENT`). Files that ship in the folders reached
(the built-in digits) count by content.

Versions of NumPy and its like are not part of it: every unit in a results file says which it was computed
with.

**Data.** SHA-256 over the names and contents of all files of a set, independent of machine and date. The
listing (names, sizes, modification times) is remembered beside it, so that a set is read again only after it
changed.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import striate
from striate.experiments.engine.json_file import write_json

_PACKAGE = Path(striate.__file__).parent

# Modules that cannot change a number. Other files in experiments (protocols that several share) are followed.
_SILENT = {
    "striate.errors",
    "striate.progress",
    "striate.file_lock",
    "striate.whole_file",
    "striate.memory_map",
    "striate.cache_folder",
    "striate.figures",
    "striate.report",
    "striate.live",
    "striate.cli",
    "striate.experiments.engine",
}


def code_fingerprint(source: Path) -> str:
    """Return a digest of an experiment's module and of all that it reaches in striate.

    Parameters
    ----------
    source : Path
        The module's file; it may lie outside the package.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    files = reached(source)
    digest = hashlib.sha256(_tree_digest(source).encode())
    for path in sorted(files):
        digest.update(f"{path.relative_to(_PACKAGE).as_posix()} {_tree_digest(path)}\n".encode())
    for folder in sorted({path.parent for path in files} - {_PACKAGE, _PACKAGE / "experiments"}):
        for path in _shipped_files(folder):
            digest.update(f"{path.relative_to(_PACKAGE).as_posix()} {_content_digest(path)}\n".encode())
    return digest.hexdigest()


def reached(source: Path) -> set[Path]:
    """Return the files of striate that a module reaches through imports, itself and silent ones left out."""
    files: set[Path] = set()
    waiting = list(_imports(source, _module_name(source)))
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen or _is_silent(name):
            continue
        seen.add(name)
        path = _file(name)
        if path is None or path == source:
            continue
        files.add(path)
        waiting += _imports(path, name)
    return files


def load_reached(source: Path) -> None:
    """Import what a module reaches, so that an edit during a long run changes nothing in it."""
    for path in sorted(reached(source)):
        with suppress(ImportError):  # an extra that is absent
            importlib.import_module(_module_name(path))


def data_checksum(path: Path, memory: Path) -> str:
    """Return the SHA-256 of a data set's names and contents.

    Parameters
    ----------
    path : Path
        A folder or a file.
    memory : Path
        A folder that remembers checksums by listing.
    """
    listing = hashlib.sha256(str(path.resolve()).encode())
    files = sorted(_files(path))
    for name, file in files:
        status = file.stat()
        listing.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    note = memory / f"{listing.hexdigest()[:32]}.json"
    try:
        remembered = json.loads(note.read_text("utf-8"))["sha256"]
        if isinstance(remembered, str) and len(remembered) == 64:
            return remembered
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not remembered, or the note is damaged: read the set
    digest = hashlib.sha256()
    for name, file in files:
        digest.update(f"{name}\0{_content_digest(file)}\n".encode())
    write_json(note, {"sha256": digest.hexdigest()})
    return digest.hexdigest()


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    if path.is_file():
        yield path.name, path
        return
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder, name)
            if file.is_file():
                yield file.relative_to(path).as_posix(), file


def _content_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shipped_files(folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return sorted(path for path in files if path.suffix not in {".py", ".pyi", ".md", ".typed"})


def _module_name(path: Path) -> str:
    if not path.is_relative_to(_PACKAGE):
        return path.stem
    parts = path.relative_to(_PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _file(module: str) -> Path | None:
    if module != "striate" and not module.startswith("striate."):
        return None
    base = _PACKAGE.joinpath(*module.split(".")[1:])
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def _is_silent(module: str) -> bool:
    return any(module == silent or module.startswith(f"{silent}.") for silent in _SILENT)


@cache
def _parse(path: Path, _changed: int) -> ast.Module:
    return ast.parse(path.read_bytes(), filename=path.name)


def _tree(path: Path) -> ast.Module:
    return _parse(path, path.stat().st_mtime_ns)


def _imports(path: Path, module: str) -> Iterator[str]:
    """Yield the names of the striate modules that a file imports, at any depth of its code."""
    tree = _tree(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    by_name = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            by_name |= any(alias.name == "importlib" for alias in node.names)
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            by_name |= node.module == "importlib"
            origin = _origin(node, package)
            for alias in node.names:
                yield from _homes(origin, alias.name)
    if by_name and module.startswith("striate"):
        yield from _named_modules(tree, package)


def _origin(node: ast.ImportFrom, package: str) -> str:
    if node.level == 0:
        return node.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def _homes(origin: str, name: str, depth: int = 0) -> Iterator[str]:
    """Yield the module that defines a name: a folder's ``__init__.py`` often only passes it on."""
    path = _file(origin)
    if path is None:
        return
    if _file(f"{origin}.{name}") is not None:
        yield f"{origin}.{name}"
    elif path.name != "__init__.py" or depth > 10:
        yield origin
    else:
        passed_on = False
        for node in ast.walk(_tree(path)):
            if not isinstance(node, ast.ImportFrom):
                continue
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    passed_on = True
                    yield from _homes(_origin(node, origin), alias.name, depth + 1)
        if not passed_on:
            yield origin


def _named_modules(tree: ast.Module, package: str) -> Iterator[str]:
    """Yield what a module with importlib may import: every module of striate that a string in it names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value.partition(":")[0]
            name = f"{package}{text}" if text.startswith(".") else text
            if _file(name) is not None:
                yield name


def _tree_digest(path: Path) -> str:
    return _digest_of_tree(path, path.stat().st_mtime_ns)


@cache
def _digest_of_tree(path: Path, _changed: int) -> str:
    # A tree of its own: the transformer changes it in place.
    tree = _OnlyWhatComputes().visit(ast.parse(path.read_bytes(), filename=path.name))
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


class _OnlyWhatComputes(ast.NodeTransformer):
    """Takes out of a syntax tree what cannot change a number."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant):
            return None  # a docstring, or a text below an attribute
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        exception: Any = node.exc
        if isinstance(exception, ast.Call):
            return ast.Raise(exc=exception.func, cause=None)
        return node
