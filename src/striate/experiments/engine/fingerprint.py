"""The fingerprint of the code that a unit runs: whether a result was measured on the code of today.

A cache must not hand out numbers that today's code would not give, nor throw away a night's work for a docstring. So
the fingerprint covers the definitions that a unit's function reaches through names and imports: functions, constants,
classes with all their methods, and files that ship beside them. `striate.experiments.engine.definitions` says what of
a definition counts. References are replaced by the digests of what they refer to, not by names, so that renaming a
module or a definition, or moving one to another file, changes no fingerprint.

Where static reading cannot tell what is reached, more counts rather than less: a module that is used as a value counts
whole, a table counts with all that is registered in it, and statements of a module that belong to no name count
wherever something of the module does. Only the twins of layers in torch do not count for units of experiments whose
own code never asks for one: see `striate.experiments.engine.gradients`.

Versions of NumPy and other packages are not part of it: every unit in a results file says which it was measured with.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import striate
from striate.experiments.engine.data_checksum import content_digest
from striate.experiments.engine.definitions import SourceFile
from striate.experiments.engine.gradients import TWINS, asks_for_gradients, is_of_experiments
from striate.experiments.engine.graph import groups
from striate.experiments.engine.scopes import Origin, Reference
from striate.experiments.engine.source_cache import read_file
from striate.experiments.engine.syntax_text import Definition

#: Modules and definitions that show, report or store, and change no number.
SILENT = frozenset(
    {
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
        "striate.experiments.engine.figure",
        # The list of all kernels for `striate warm-up`; the message; where machine code is kept. Before kernels had a
        # folder, these were in one file.
        "striate.kernels.compiling._compilers",
        "striate.kernels.compiling._tell",
        "striate.kernels.compiling._sound_cache",
        "striate.kernels._compilers",
        "striate.kernels._tell",
        "striate.kernels._sound_cache",
    }
)

_NOT_DATA = {".py", ".pyi", ".md", ".typed", ".pyc"}
_DEEPEST = 30  # imports that pass a name on

Key = tuple[str, str]  # module and name; "" is what belongs to no name, "*" the whole module


@dataclass
class _Node:
    text: str
    edges: list[tuple[str, Key | str]] = field(default_factory=list)  # label, and what is reached: a key, or a text


class SourceTree:
    """The source of striate, as it is now or as it was at an earlier commit.

    Parameters
    ----------
    package : Path, optional
        The package's folder; by default the one that is running.
    silent : frozenset of str
        Modules and definitions that do not count.
    """

    def __init__(self, package: Path | None = None, silent: frozenset[str] = SILENT) -> None:
        self.package = package if package is not None else Path(striate.__file__).parent
        self.silent = silent
        self._without_twins: SourceTree | None = None
        self._sources: dict[str, SourceFile | None] = {}
        self._fingerprints: dict[Key, str] = {}
        self._outside: dict[str, Path] = {}  # files outside the package, by the name they have here
        self._nodes: dict[Key, _Node] = {}
        self._digests: dict[Key, str] = {}
        self._registered: dict[Key, set[Key]] | None = None

    def fingerprint(self, run: Callable[..., Any]) -> str:
        """Return the fingerprint of a unit's function.

        Parameters
        ----------
        run : callable
            A function or method that a file defines.

        Returns
        -------
        str
            64 hexadecimal digits.
        """
        return self.fingerprint_of(*self._place(run))

    def fingerprint_of(self, module: str, name: str) -> str:
        """Return the fingerprint of a module's definition; of the whole module where it has none of that name."""
        start = self._start(module, name)
        if start not in self._fingerprints:
            self._fingerprints[start] = self._tree_for(start)._compute(start)
        return self._fingerprints[start]

    def _tree_for(self, start: Key) -> SourceTree:
        """The tree in which twins in torch count, or the one in which they do not."""
        if self.silent != SILENT:
            return self
        modules = {module for module, _ in self._reached(start)}
        files = (self._file(module) for module in modules if module in self._outside or is_of_experiments(module))
        if any(file is not None and asks_for_gradients(file) for file in files):
            return self
        if self._without_twins is None:
            self._without_twins = SourceTree(self.package, SILENT | TWINS)
            self._without_twins._outside = self._outside
        return self._without_twins

    def _compute(self, start: Key) -> str:
        digest = hashlib.sha256(self._digest(start).encode())
        reached = [self._definition(key) for key in self._reached(start)]
        if any(definition.reads_phases for definition in reached):
            phases = sorted({phase for definition in reached for phase in definition.phases})
            digest.update("\n".join(phases).encode())
        return digest.hexdigest()

    def reached(self, run: Callable[..., Any]) -> set[Key]:
        """Return the definitions, each as module and name, that a unit's function reaches."""
        start = self._start(*self._place(run))
        return {key for key in self._tree_for(start)._reached(start) if key[0] not in self._outside}

    def has(self, module: str, name: str) -> bool:
        """Whether a module exists and defines a name, or imports it."""
        source = self._source(module)
        return source is not None and (name in source.definitions or name in source.imports)

    def _place(self, run: Callable[..., Any]) -> Key:
        function = inspect.unwrap(run)
        path = Path(inspect.getfile(function))
        if path.is_relative_to(self.package):
            module = _module_name(path, self.package)
        else:
            module = f"outside {path}"
            self._outside[module] = path
        return module, run.__qualname__

    def _start(self, module: str, name: str) -> Key:
        found = [key for key, _ in self._find(module, name.partition(".")[0], ()) if isinstance(key, tuple)]
        return found[0] if len(found) == 1 else (module, "*")

    # Files

    def _file(self, module: str) -> Path | None:
        if module in self._outside:
            return self._outside[module]
        if module != "striate" and not module.startswith("striate."):
            return None
        base = self.package.joinpath(*module.split(".")[1:])
        return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)

    def _source(self, module: str) -> SourceFile | None:
        if module not in self._sources:
            path = self._file(module)
            self._sources[module] = None if path is None else read_file(path)
        return self._sources[module]

    def _definition(self, key: Key) -> Definition:
        source = self._source(key[0])
        return Definition() if source is None else source.definitions.get(key[1], Definition())

    def _modules(self) -> Iterator[str]:
        for path in sorted(self.package.rglob("*.py")):
            yield _module_name(path, self.package)
        yield from self._outside

    # What a name stands for

    def _find(self, module: str, name: str, attributes: tuple[str, ...], depth: int = 0) -> list[tuple[Key | str, str]]:
        """What a name of a module stands for: definitions, each with the attributes that remain."""
        source = self._source(module)
        if source is None or depth > _DEEPEST:
            return [(f"{module}.{name}", _dotted(attributes))]
        found: list[tuple[Key | str, str]] = []
        if name in source.definitions:
            found.append(((module, name), _dotted(attributes)))
        for origin in source.imports.get(name, ()):
            found += self._follow(module, origin, attributes, depth + 1)
        if not found and name in source.homes:
            found += self._find(source.homes[name], name, attributes, depth + 1)
        if not found and self._file(f"{module}.{name}") is not None:
            found += self._find_in_module(f"{module}.{name}", attributes, depth + 1)
        # A name that static reading does not find may be any of the module's.
        return [self._silent(*each) for each in found or [((module, "*"), _dotted((name, *attributes)))]]

    def _find_in_module(self, module: str, attributes: tuple[str, ...], depth: int) -> list[tuple[Key | str, str]]:
        if not attributes or self._file(module) is None:
            return [self._silent((module, "*") if self._file(module) is not None else module, _dotted(attributes))]
        return self._find(module, attributes[0], attributes[1:], depth + 1)

    def _follow(
        self, module: str, origin: Origin, attributes: tuple[str, ...], depth: int
    ) -> list[tuple[Key | str, str]]:
        target = origin.module
        if origin.level:
            path = self._file(module)
            steps = origin.level - (path is not None and path.name == "__init__.py")
            parts = module.split(".")
            target = ".".join([*parts[: len(parts) - steps], *([target] if target else [])])
        if target.partition(".")[0] != "striate":
            return [(_dotted((target, *([origin.name] if origin.name else []))), _dotted(attributes))]
        if origin.name is None:
            return self._find_in_module(target, attributes, depth)
        return self._find(target, origin.name, attributes, depth)

    def _targets(self, module: str, reference: Reference) -> list[tuple[Key | str, str]]:
        if isinstance(reference.target, Origin):
            return self._follow(module, reference.target, reference.attributes, 0)
        return self._find(module, reference.target, reference.attributes)

    def _silent(self, target: Key | str, attributes: str) -> tuple[Key | str, str]:
        """What is reached; only its name where it is silent."""
        if isinstance(target, str):
            return target, attributes
        module, name = target
        parts = module.split(".")
        prefixes = {".".join(parts[: n + 1]) for n in range(len(parts))} | {f"{module}.{name}"}
        return (f"silent {name}", attributes) if prefixes & self.silent else (target, attributes)

    # The graph of definitions

    def _node(self, key: Key) -> _Node:
        if key not in self._nodes:
            self._nodes[key] = self._whole_module(key[0]) if key[1] == "*" else self._one_definition(key)
        return self._nodes[key]

    def _whole_module(self, module: str) -> _Node:
        source = self._source(module)
        assert source is not None
        path = self._file(module)
        names = set(source.definitions)
        if path is not None and path.name == "__init__.py":
            names |= {*source.imports, *source.homes}
        node = _Node("module")
        for name in sorted(names):
            found = self._find(module, name, ()) if name else [((module, ""), "")]
            node.edges += [(f"{name} {attributes}", target) for target, attributes in found]
        return node

    def _one_definition(self, key: Key) -> _Node:
        module, name = key
        source = self._source(module)
        assert source is not None
        definition = source.definitions[name]
        node = _Node(definition.text)
        for number, reference in enumerate(definition.references):
            targets = self._targets(module, reference)
            node.edges += [(f"{number} {attributes}", target) for target, attributes in targets]
        if name and "" in source.definitions:
            node.edges.append(("of the module", (module, "")))
        registered = self._registrations().get(key, set())
        node.edges += [("registered", other) for other in sorted(registered, key=self._order)]
        node.edges += [("file", digest) for digest in self._shipped(module, definition)]
        return node

    def _order(self, key: Key) -> tuple[str, Key]:
        return self._definition(key).text, key

    def _shipped(self, module: str, definition: Definition) -> list[str]:
        """Digests of the files beside a module that a definition reads; all of them where it names none."""
        if not definition.reads_folder:
            return []
        path = self._file(module)
        assert path is not None
        files = list(_files_beside(path.parent)) if module not in self._outside else []
        named = [file for file in files if file.name in definition.files]
        return sorted(content_digest(file) for file in named or files)

    def _registrations(self) -> Mapping[Key, set[Key]]:
        """Definitions that a decorator, a base class or a statement of their module enters into a table elsewhere."""
        if self._registered is None:
            self._registered = {}
            for module in self._modules():
                source = self._source(module)
                assert source is not None
                for callee, name in source.registrations:
                    for table in self._tables(module, callee):
                        if table != (module, name):
                            self._registered.setdefault(table, set()).add((module, name))
        return self._registered

    def _tables(self, module: str, callee: Reference) -> Iterator[Key]:
        for target, attributes in self._find(module, str(callee.target), callee.attributes):
            if not isinstance(target, tuple):
                continue
            definition = self._definition(target)
            if attributes or definition.knows_subclasses:
                yield target
            for reference in definition.references:
                if reference.changes:
                    yield from (key for key, _ in self._targets(target[0], reference) if isinstance(key, tuple))

    def _reached(self, start: Key) -> set[Key]:
        seen = {start}
        waiting = [start]
        while waiting:
            for target in _keys(self._node(waiting.pop())):
                if target not in seen:
                    seen.add(target)
                    waiting.append(target)
        return seen

    # Digests

    def _digest(self, start: Key) -> str:
        """The digest of a definition and of all that it reaches, from the bottom up."""
        if start not in self._digests:
            for group in groups(start, lambda key: _keys(self._node(key)), self._digests):
                members = set(group)
                done = {key: self._digest_within(key, members) for key in group}
                self._digests |= done
        return self._digests[start]

    def _digest_within(self, start: Key, members: set[Key]) -> str:
        """The digest of a definition among those that reach each other: these are numbered as they are met."""
        numbers = {start: 0}
        waiting = [start]
        digest = hashlib.sha256()
        for key in waiting:  # grows as it is read
            node = self._node(key)
            digest.update(f"{node.text}\n".encode())
            for label, target in node.edges:
                if isinstance(target, str):
                    shown = target
                elif target in members:
                    if target not in numbers:
                        numbers[target] = len(numbers)
                        waiting.append(target)
                    shown = f"number {numbers[target]}"
                else:
                    shown = self._digests[target]
                digest.update(f"{label} {shown}\n".encode())
        return digest.hexdigest()


def _keys(node: _Node) -> list[Key]:
    return [target for _, target in node.edges if isinstance(target, tuple)]


def _module_name(path: Path, package: Path) -> str:
    parts = ("striate", *path.relative_to(package).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _files_beside(folder: Path) -> Iterator[Path]:
    """Files of a folder that hold data; subfolders with modules of their own are left out."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name != "__pycache__" and not (path / "__init__.py").exists():
            yield from _files_beside(path)
        elif path.is_file() and path.suffix not in _NOT_DATA:
            yield path


def _dotted(names: tuple[str, ...]) -> str:
    return ".".join(names)
