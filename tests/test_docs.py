from __future__ import annotations

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

import striate
import striate.learning
from striate.experiments import EXPERIMENTS, load_experiment, summary

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = (*(ROOT / name for name in ("README.md", "CHANGELOG.md", "benchmarks/README.md")), *sorted(DOCS.glob("*.md")))
# Pages that Sphinx writes itself: a page of ours with the same name would be overwritten.
OF_SPHINX = {"search", "genindex", "modindex"}


def text_of(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """What links to headings are called on a code host, and in the book."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", text_of(page)):
        if target.startswith("https:") or target in ("talk/index.md", "gallery/index.rst"):  # made at each build
            continue
        file = page.parent / target if target else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), f"{target}#{anchor}"


def test_every_page_is_in_one_table_of_contents() -> None:
    tables = re.findall(r"^```{toctree}\n(.*?)^```$", (DOCS / "index.md").read_text(encoding="utf-8"), re.M | re.S)
    entries = [line for table in tables for line in table.splitlines() if line and not line.startswith(":")]
    generated = ["api/index", "gallery/index", "talk/index"]  # made at each build: docs/_extensions
    assert sorted(entries) == sorted([page.stem for page in DOCS.glob("*.md") if page.stem != "index"] + generated)


def test_no_page_has_a_name_that_sphinx_takes() -> None:
    assert not OF_SPHINX & {page.stem for page in DOCS.glob("*.md")}


def extension(name: str) -> ModuleType:
    spec = spec_from_file_location(name, DOCS / "_extensions" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_has_a_page_for_every_public_name() -> None:
    pages = extension("public_names").pages()
    assert {f"striate.{name}" for name in striate.__all__ if name != "__version__"} <= pages.keys()
    own = {f"striate.learning.{name}" for name in striate.learning.__all__ if name not in striate.__all__}
    assert own <= pages.keys()
    assert ":members: " in pages["striate.PSD"]
    for name in {"striate.PSD", *own}:
        assert f"<{name}>" in pages["learning"]
    assert len({name.lower() for name in pages}) == len(pages)  # where files' names ignore case


def test_every_experiment_is_on_one_page_of_the_talk() -> None:
    talk = extension("talk")
    placed = [name for section in talk.SECTIONS.values() for name in talk.experiments_of(section)]
    assert sorted(placed) == sorted(EXPERIMENTS)


def test_pages_of_the_talk_show_claims_pictures_and_tables(tmp_path: Path) -> None:
    talk = extension("talk")
    summaries = [summary(load_experiment(name), ROOT / "results", None) for name in EXPERIMENTS]
    pages = talk.pages(summaries)
    assert pages.keys() == {"index", *talk.SECTIONS}
    page = pages["psd"]
    for part in (
        "# Predictive sparse",
        "## psd-natural-patches",
        "../../results/psd-natural-patches.png",
        "| published |",
    ):
        assert part in page
    assert "](psd.md) | " in pages["index"]
    for target in re.findall(r"\]\((\.\./[^)#]*)", "".join(pages.values())):
        assert (DOCS / "talk" / target).resolve().exists(), target
