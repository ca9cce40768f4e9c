"""How Sphinx builds the book from the pages of this folder and from the docstrings: `make docs`.

The pages are plain Markdown with relative links, so that a code host shows them as well. Images outside this folder are
copied, other files that are linked become downloads. Nothing is fetched from the network.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sphinx.application import Sphinx

import striate

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "striate"
author = "The striate developers"
version = release = striate.__version__

extensions = ["sphinx.ext.autodoc", "numpydoc", "myst_parser", "sphinx_gallery.gen_gallery", "public_names", "talk"]
exclude_patterns = ["_extensions"]
suppress_warnings = ["config.cache"]  # the gallery's settings hold a function
default_role = "code"  # docstrings write `name`, as Markdown does

# Headings can be linked as on a code host: page.md#heading.
myst_heading_anchors = 3

autodoc_typehints = "none"  # numpydoc shows the types that docstrings state
autodoc_member_order = "alphabetical"
numpydoc_show_class_members = False  # public_names lists those that striate defines itself

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "capture_repr": ("_repr_html_",),
    "image_scrapers": ("gallery_figures.made_figures",),
    "ignore_repr_types": r"matplotlib",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "within_subsection_order": "FileNameSortKey",
}

html_theme = "furo"
html_title = f"striate {release}"
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["book.css"]

# Files outside this folder that pages of the book include. Links to them lead to those pages.
INCLUDED = {"../CHANGELOG.md": "changelog.md", "../benchmarks/README.md": "measuring.md"}


def setup(app: Sphinx) -> None:
    """Let Sphinx call `lead_to_pages` with each page that it reads."""
    app.connect("source-read", lead_to_pages)


def lead_to_pages(app: Sphinx, page: str, source: list[str]) -> None:
    """Replace links to files that are included."""
    for file, included in INCLUDED.items():
        source[0] = source[0].replace(f"]({file}", f"]({included}")
