"""A folder imports only from the folders above it, in functions as well as at the top."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import striate

PACKAGE = Path(striate.__path__[0])
BASE = (
    "errors",
    "parameters",
    "samples",
    "file_lock",
    "whole_file",
    "memory_map",
    "cache_folder",
    "lazy",
    "model_file",
    "stored",
    "threads",
    "distribute",
    "randomness",
    "progress",
    "checkpoint",
    "provenance",
)
ORDER = (
    "kernels", "figures", "images", "coding", "encoders", "learning", "hierarchy", "recognition", "energy", "retrieval",
    "robot", "analysis", "report", "live", "experiments", "cli",
)  # fmt: skip
# Modules that may import each other.
CIRCLES: tuple[set[str], ...] = ()
# Kernels are compiled as a whole: functions that they call would not be inlined to the same bits.
KERNELS = ("_infer_one", "_descend", "_search", "_walk")
FACES = ("cli", "live")  # what people touch, built from public names alone


class Import(NamedTuple):
    file: str  # within the package
    line: int
    target: str  # a dotted module, and where it says `from ... import name`, the name

    @property
    def folder(self) -> str:
        return Path(self.file).parts[0] if "/" in self.file else ""

    @property
    def parts(self) -> tuple[str, ...]:
        """The target within striate; empty if it is another package."""
        first, *rest = self.target.split(".")
        return tuple(rest) if first == "striate" else ()

    def __str__(self) -> str:
        return f"src/striate/{self.file}:{self.line}: {self.target}"


def imports_of(text: str, file: str) -> Iterator[Import]:
    package = ["striate", *Path(file).parent.parts]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(file, node.lineno, f"{module}.{alias.name}")


def all_imports() -> list[Import]:
    found: list[Import] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        found += imports_of(path.read_text(encoding="utf-8"), path.relative_to(PACKAGE).as_posix())
    return found


IMPORTS = all_imports()


def fail_if_any(wrong: list[Import], rule: str) -> None:
    if wrong:
        pytest.fail(f"{rule}:\n" + "\n".join(map(str, wrong)))


def rank(name: str) -> int:
    return ORDER.index(name)


def is_upward(found: Import) -> bool:
    """Whether a folder's file imports from a folder below its own."""
    if found.folder not in ORDER or not found.parts or found.parts[0] not in ORDER:
        return False
    return rank(found.parts[0]) > rank(found.folder)


def test_every_folder_has_its_place() -> None:
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders <= set(ORDER), f"add to ORDER, and to the design: {folders - set(ORDER)}"
    files = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert files == set(BASE)


def test_a_folder_imports_only_from_those_above_it() -> None:
    fail_if_any([found for found in IMPORTS if is_upward(found)], f"against the order {' → '.join(ORDER)}")


def test_the_base_imports_no_folder() -> None:
    base_files = {f"{name}.py" for name in BASE}
    wrong = [found for found in IMPORTS if found.file in base_files and found.parts[:1] and found.parts[0] in ORDER]
    fail_if_any(wrong, "base modules know nothing of the folders")


def test_folders_name_the_folder_they_mean() -> None:
    # `from striate import PSD` would hide from the rules above which folder is imported.
    wrong = [
        found
        for found in IMPORTS
        if found.folder not in ("", *FACES) and found.parts and found.parts[0] not in (*ORDER, *BASE, "__version__")
    ]
    fail_if_any(wrong, "import from the folder, not from striate")


def test_a_folder_keeps_its_private_modules_and_names() -> None:
    # A differentiable twin builds on those of the folders above; all of them are private, since torch is an extra.
    wrong = [
        found
        for found in IMPORTS
        if found.parts
        and found.parts[0] != found.folder
        and any(part.startswith("_") and part not in ("__version__", "_torch") for part in found.parts)
    ]
    twins = [found for found in IMPORTS if "_torch" in found.parts and found.parts[0] != found.folder]
    wrong += [found for found in twins if not found.file.endswith("/_torch.py")]
    fail_if_any(wrong, "a folder offers what its neighbors need in modules without an underscore")


def module_of(file: str) -> str:
    return ".".join(Path(file).with_suffix("").parts)


def circles() -> list[set[str]]:
    """Modules that import each other, directly or through others, `__init__` left out: it passes names on."""
    modules = {module_of(found.file) for found in IMPORTS}
    reached: dict[str, set[str]] = {name: set() for name in modules}
    for found in IMPORTS:
        target = next((name for name in (".".join(found.parts), ".".join(found.parts[:-1])) if name in modules), None)
        if target and not found.file.endswith("__init__.py"):
            reached[module_of(found.file)].add(target)
    changed = True
    while changed:
        changed = False
        for targets in reached.values():
            further = set().union(*(reached[target] for target in targets)) - targets if targets else set()
            targets |= further
            changed |= bool(further)
    together = {frozenset(other for other in reached[name] if name in reached[other]) for name in modules}
    return [set(names) for names in together if len(names) > 1]


def test_no_modules_import_each_other() -> None:
    new = [names for names in circles() if not any(names <= known for known in CIRCLES)]
    assert not new, "modules that import each other"


def test_every_circle_that_is_allowed_is_still_there() -> None:
    found = circles()
    assert all(any(known >= names for names in found) for known in CIRCLES)


def test_torch_stays_in_its_files() -> None:
    wrong = [
        found
        for found in IMPORTS
        if found.target.split(".")[0] in ("torch", "torchvision") and not found.file.endswith("/_torch.py")
    ]
    fail_if_any(wrong, "torch is an extra: import it in files named _torch.py, at first use")


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body: a signature of many options, and a docstring about each of them, may be long."""
    statements = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (function.end_lineno or 0) - statements[0].lineno + 1 if statements else 0


def test_functions_fit_on_a_screen_or_two() -> None:
    long = [
        f"{path.relative_to(PACKAGE).as_posix()}: {node.name} has {lines_of(node)} lines"
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lines_of(node) > 80 and node.name not in KERNELS
    ]
    assert not long


def test_a_long_file_says_why() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if len(text.splitlines()) > 400:
            assert re.search(r"400 lines\s+because", ast.get_docstring(ast.parse(text)) or ""), path


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("import striate.cli.main", "striate.cli.main"),
        ("def f():\n    from striate.cli import main", "striate.cli.main"),
        ("from ..cli import main", "striate.cli.main"),
        ("from .. import cli", "striate.cli"),
        ("from . import a", "striate.images.a"),
        ("if TYPE_CHECKING:\n    from .a import B", "striate.images.a.B"),
    ],
)
def test_no_form_of_import_escapes(text: str, target: str) -> None:
    (found,) = imports_of(text, "images/decode.py")
    assert found.target == target
    assert is_upward(found) == ("cli" in target)
