"""Pages of the talk's sections, made at each build from the results: what a slide says, our figure, the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from striate.experiments import EXPERIMENTS, list_experiments, rewrite_tables

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]


class Section(NamedTuple):
    """A section of the talk.

    Parameters
    ----------
    title : str
    slides : list of str
        What its slides say, one sentence each.
    experiments : list of str
        Those that test it, in the order of the slides.
    folder : str
        Experiments of this folder that no section names are added to this one.
    """

    title: str
    slides: list[str]
    experiments: list[str]
    folder: str = ""


SECTIONS = {
    "sparse-coding": Section(
        "Sparse coding, and why it is not enough",
        [
            "A dictionary is learned so that each image patch is a sum of few of its units.",
            "Finding the code is an optimization for every new patch, which is slow for large vision tasks.",
            "The optimal code is unstable: a small change of the patch can change it much.",
        ],
        ["sparse-coding-natural-patches", "solvers", "code-stability"],
        "codes",
    ),
    "psd": Section(
        "Predictive sparse decomposition",
        [
            "An encoder is trained to predict the optimal code: the energy has a term for the error of the prediction.",
            "On natural patches the filters are like Gabor functions, as receptive fields of V1 are.",
            "On handwritten digits they are strokes, of which any digit is a combination.",
        ],
        ["psd-natural-patches", "psd-mnist-strokes", "psd-mnist-classification"],
    ),
    "deep-learning": Section(
        "Boltzmann machines and deep autoencoders",
        [
            "Deep networks are learned layer by layer, without labels, and then refined.",
            "A deep autoencoder reduces digits and documents to a few numbers that keep what matters.",
            "Images are found again by short binary codes.",
        ],
        ["rbm-mnist", "deep-autoencoder-mnist", "text-retrieval-reuters", "image-retrieval"],
        "retrieval",
    ),
    "energies": Section(
        "Energies, and codes of limited information",
        [
            "Learning makes the energy low at the samples and higher everywhere else.",
            "If the code holds little information, few inputs can be reconstructed well, and the energy must be high "
            "elsewhere.",
            "Classes are more easily separated in sparse codes of many dimensions.",
        ],
        ["energy-surfaces", "energy-training", "overcomplete-separability"],
        "energies",
    ),
    "one-stage": Section(
        "One stage of features for recognition",
        [
            "Filter bank, rectification, local contrast normalization and pooling are one stage.",
            "Rectification makes a huge difference, normalization makes a difference.",
            "Random filters work as well as anything, if rectification and normalization are present.",
            "Predicted codes recognize better than optimal ones, are more stable, and cost hundreds of times less.",
            "Accuracy increases slowly past 64 filters.",
        ],
        [
            "caltech101-one-stage", "architecture-claims", "random-filters", "caltech101-pmk", "optimal-vs-predicted",
            "code-cost", "caltech101-filter-count",
        ],
    ),
    "two-stages": Section(
        "Two stages, and refinement by labels",
        [
            "A second stage with logistic regression reaches what a kernel machine on one stage does.",
            "Learning without labels does not help much; refinement of all filters by the labels helps a bit.",
            "With few labels, learned filters help most.",
        ],
        ["caltech101-two-stage", "stage2-filters", "caltech101-refined", "norb-labels", "norb-refined",
         "small-norb-refined", "live-learning"],
        "recognition",
    ),
    "competition": Section(
        "Records, and the competition",
        [
            "On undistorted digits the learned network makes 0.53 % errors.",
            "SIFT with sparse codes and a kernel machine is the competition on Caltech-101.",
        ],
        ["mnist-architecture", "mnist-best", "caltech101-competition", "caltech101-best"],
    ),
    "learned-encoders": Section(
        "Encoders that imitate an algorithm",
        [
            "A few steps of ISTA, unrolled in time, become a network whose matrices are learned: LISTA.",
            "It reaches an error in few steps for which FISTA needs many.",
            "The same holds for coordinate descent: LCoD.",
        ],
        ["lista-vs-fista", "lcod-vs-cod"],
    ),
    "convolutional": Section(
        "Features of whole images",
        [
            "Filters that are learned on patches are redundant where they are used as convolutions.",
            "Learned by convolution, they are more varied, and recognize better.",
        ],
        [
            "convolutional-filters", "convolutional-solvers", "convolutional-lista", "inpainting",
            "caltech101-convolutional",
        ],
        "convolutional",
    ),
    "invariance": Section(
        "Pools, invariance and maps",
        [
            "Sparsity over pools of units on a sheet brings similar filters together; pools act like complex cells.",
            "The pools are more invariant than SIFT to translations and rotations.",
            "Local filters over large images form orientation maps with pinwheels, as cortex does.",
        ],
        ["topographic-filters", "invariance-vs-sift", "pinwheels", "pinwheels-patch", "temporal-product"],
        "maps",
    ),
    "robot": Section(
        "A robot that teaches itself to see far",
        [
            "Stereo says what near obstacles look like, and its labels train a classifier that sees far.",
            "Features are learned so that images of one thing have codes that are near to each other.",
        ],
        ["drlim-mnist"],
        "robot",
    ),
    "main-job": Section(
        "What it is for",
        ["Not in the talk: the whole system, on images that it has not seen, with few labels."],
        ["main-job-digits", "main-job-mnist", "main-job-caltech101", "presets", "few-labels"],
        "main",
    ),
}  # fmt: skip


def setup(app: Sphinx) -> dict[str, bool]:
    """Let Sphinx call `write_pages` before it looks for pages."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_pages(app: Sphinx) -> None:
    """Write all pages into the folder `talk`."""
    folder = Path(app.srcdir) / "talk"
    folder.mkdir(exist_ok=True)
    written = pages(list_experiments(ROOT / "results"))
    for old in folder.glob("*.md"):
        if old.stem not in written:
            old.unlink()
    for name, text in written.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def experiments_of(section: Section) -> list[str]:
    """The experiments of a section: those that it names, and those of its folder that no section names."""
    named = {name for one in SECTIONS.values() for name in one.experiments}
    more = [
        name
        for name, module in EXPERIMENTS.items()
        if name not in named and section.folder and module.split(".")[2] == section.folder
    ]
    return [*section.experiments, *more]


def pages(summaries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """All pages, as Markdown, by their names."""
    by_name = {summary["name"]: summary for summary in summaries}
    made = {name: _page(section, by_name) for name, section in SECTIONS.items()}
    rows = [
        f"| [{section.title}]({name}.md) | {_count([by_name[one] for one in experiments_of(section)])} |"
        for name, section in SECTIONS.items()
    ]
    made["index"] = (
        "# The talk, section by section\n\n"
        "Yann LeCun, *Learning Hierarchies of Visual Features*: what its slides say, the figure that striate draws "
        "from real data, and whether the numbers agree. A figure that falls short stays as it is; "
        "[How we measure](../measuring.md) says how verdicts are made.\n\n"
        "| section | figures |\n|---|---|\n" + "\n".join(rows) + "\n\n"
        "```{toctree}\n:hidden:\n\n" + "\n".join(SECTIONS) + "\n```\n"
    )
    return made


def _page(section: Section, summaries: Mapping[str, Mapping[str, Any]]) -> str:
    parts = [f"# {section.title}\n", "What the slides say:\n", "\n".join(f"- {one}" for one in section.slides) + "\n"]
    for name in experiments_of(section):
        parts.append(f"## {name}\n\n{_sentence(summaries[name]['claim'])}\n")
        if (ROOT / "results" / f"{name}.png").exists():
            parts.append(f"![{summaries[name]['claim']}](../../results/{name}.png)\n")
        parts.append(rewrite_tables(f"<!-- table: {name} -->\n<!-- end -->\n", list(summaries.values())))
        if f"\n### {name}\n" in (ROOT / "docs" / "results.md").read_text(encoding="utf-8"):
            parts.append(f"[What was measured, and how](../results.md#{name})\n")
    return "\n".join(parts)


def _sentence(claim: str) -> str:
    return claim if claim.endswith((".", "!", "?")) else f"{claim}."


def _count(summaries: Sequence[Mapping[str, Any]]) -> str:
    """How many of the figures have reached what they were compared with."""
    figures = [figure for summary in summaries for figure in summary["figures"]]
    judged = [figure for figure in figures if figure["verdict"] in ("met", "short") or figure.get("held") is not None]
    reached = sum(figure["verdict"] == "met" or figure.get("held") is True for figure in judged)
    open_ones = sum(figure["verdict"] == "not run" for figure in figures)
    return f"{reached} of {len(judged)} reached" + (f", {open_ones} not measured" if open_ones else "")
