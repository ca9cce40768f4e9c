"""Pages of the API reference, made at each build from the modules: a new public name appears by itself.

`api/index` lists the folders of the package. Each folder has a page with its names in one line each, those that
`striate` itself offers first, and each name has a page with its docstring. Pages of names are in no table of contents:
with some hundreds of them, the navigation of every page would be as long as the page.
"""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from pathlib import Path
from pprint import pformat
from types import ModuleType
from typing import TYPE_CHECKING, Any

import striate

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# The compiler's helpers, and the commands, which are documented by --help.
HIDDEN = {"kernels", "cli"}
# Modules beside the folders whose names the guide uses.
MODULES = ("checkpoint", "distribute", "errors", "progress", "threads")


def setup(app: Sphinx) -> dict[str, bool]:
    """Let Sphinx call `write_pages` before it looks for pages."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_pages(app: Sphinx) -> None:
    """Write all pages into the folder `api`, and remove those of names that are gone."""
    written = pages()
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.rst"):
        if old.stem not in written:
            old.unlink()
    for name, text in written.items():
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text(encoding="utf-8") != text:  # unchanged pages are not built again
            path.write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """All pages of the reference, as reStructuredText, by their names."""
    made: dict[str, str] = {}
    found = pkgutil.iter_modules(striate.__path__)
    sections = [module.name for module in found if module.ispkg and module.name not in HIDDEN]
    described = []
    taken: set[str] = set()
    for section in sorted([*sections, *MODULES]):
        module = import_module(f"striate.{section}")
        names = names_of(section, module)
        if not names:
            continue
        described.append((section, summary(module)))
        rows = []
        for qualified, value in names:
            # Where names of files ignore case, `Sighting` and `sighting` would be one page.
            page = qualified if qualified.lower() not in taken else f"{qualified}-"
            taken.add(page.lower())
            rows.append((f":doc:`{qualified} <{page}>`", summary(value) if documented(value) else ""))
            made[page] = page_of(qualified, value, section)
        body = (inspect.getdoc(module) or "").strip()
        made[section] = f"{title(module.__name__)}\n{body}\n\n{table(rows)}"
    made["index"] = index(described)
    return made


def names_of(section: str, module: ModuleType) -> list[tuple[str, Any]]:
    """The public names of a folder with their values, those of `striate` itself first."""
    listed = list(getattr(module, "__all__", ()))
    home = module.__name__
    top = [name for name, place in striate._HOME.items() if place == home or place.startswith(f"{home}.")]
    others = [name for name in listed if name not in top]
    return [(f"striate.{name}", getattr(striate, name)) for name in top] + [
        (f"striate.{section}.{name}", getattr(module, name)) for name in others
    ]


def documented(value: Any) -> bool:
    """Whether a value has a docstring of its own, which constants and aliases of types have not."""
    return inspect.isclass(value) or (callable(value) and hasattr(value, "__qualname__"))


def page_of(qualified: str, value: Any, section: str) -> str:
    """The page of one name, as reStructuredText."""
    where = f":orphan:\n\n{title(qualified)}\n*One of the names of* :doc:`striate.{section} <{section}>`.\n\n"
    if inspect.isclass(value):
        members = ", ".join(members_of(value))
        return f"{where}.. autoclass:: {qualified}\n" + (f"   :members: {members}\n" if members else "")
    if documented(value):
        return f"{where}.. autofunction:: {qualified}\n"
    lines = pformat(value, width=80, sort_dicts=False).splitlines()
    if len(lines) > 20 or " at 0x" in lines[0]:
        lines = [type(value).__name__]
    shown = "".join(f"      {line}\n" for line in lines)
    return f"{where}.. py:data:: {qualified}\n\n   ::\n\n{shown}"


def members_of(value: type) -> list[str]:
    """Public methods and properties that striate defines, and that have a docstring."""
    found: dict[str, None] = {}
    for base in value.__mro__:
        if base.__module__.startswith("striate"):
            for name, member in vars(base).items():
                plain = getattr(member, "__func__", member)
                shown = inspect.isfunction(plain) or isinstance(plain, property)
                if shown and not name.startswith("_") and plain.__doc__:
                    found[name] = None
    return list(found)


def summary(value: Any) -> str:
    """The first paragraph of a docstring, in one line."""
    return " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())


def title(text: str) -> str:
    """A heading of a page."""
    return f"{text}\n{'=' * len(text)}\n"


def table(rows: list[tuple[str, str]]) -> str:
    """A table of two columns."""
    cells = "".join(f"   * - {name}\n     - {text}\n" for name, text in rows)
    return f".. list-table::\n   :widths: 35 65\n   :width: 100%\n\n{cells}"


def index(described: list[tuple[str, str]]) -> str:
    """The first page: the folders, and what they are for."""
    entries = "".join(f"   {name}\n" for name, _ in described)
    rows = [(f":doc:`striate.{name} <{name}>`", text) for name, text in described]
    return (
        f"{title('API reference')}\n"
        "The folders of the package, with all their public names. The names that ``striate`` itself offers are first "
        "on the page of their folder; the :doc:`reference </reference>` has all of these in one list.\n\n"
        f"{table(rows)}\n.. toctree::\n   :hidden:\n\n{entries}"
    )
