"""A folder imports only from the folders above it, in functions as well as at the top."""

from __future__ import annotations

import ast
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
    "kernels",
    "randomness",
    "progress",
    "checkpoint",
    "provenance",
)
ORDER = (
    "images", "coding", "encoders", "learning", "hierarchy", "recognition", "energy", "retrieval", "robot",
    "analysis", "figures", "report", "experiments", "live", "cli",
)  # fmt: skip
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


def test_what_people_touch_uses_public_names_only() -> None:
    wrong = [
        found
        for found in IMPORTS
        if found.folder in FACES
        and found.parts[:1] != (found.folder,)
        and any(part.startswith("_") and part != "__version__" for part in found.parts)
    ]
    fail_if_any(wrong, "cli and live use public names only")


def test_torch_stays_in_its_files() -> None:
    wrong = [
        found
        for found in IMPORTS
        if found.target.split(".")[0] in ("torch", "torchvision") and not found.file.endswith("/_torch.py")
    ]
    fail_if_any(wrong, "torch is an extra: import it in files named _torch.py, at first use")


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
