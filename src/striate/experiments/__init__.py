"""One module for each result in the talk: the published numbers, and how striate measures them.

An experiment's module declares its figures and units (see `striate.experiments.engine.experiment`); the runner runs
them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from striate.errors import UsageError
from striate.experiments.engine.experiment import Experiment, Scale, load
from striate.experiments.engine.figure import Figure, FigureError, Measurement, over
from striate.experiments.engine.fingerprint import SourceTree
from striate.experiments.engine.listing import read_record, results_folder, summary
from striate.experiments.engine.results import NotRunError, Results
from striate.experiments.engine.runner import Run, run_experiment
from striate.experiments.engine.tables import cells_of, rewrite_tables
from striate.experiments.engine.unit import Context, Settings, Unit

__all__ = [
    "EXPERIMENTS",
    "load_experiment",
    "list_experiments",
    "run_experiment",
    "Run",
    "Experiment",
    "Scale",
    "Unit",
    "Context",
    "Settings",
    "Results",
    "NotRunError",
    "Figure",
    "Measurement",
    "over",
    "FigureError",
    "read_record",
    "results_folder",
    "summary",
    "cells_of",
    "rewrite_tables",
]

#: Every experiment and the module that declares it, in the order of the talk.
EXPERIMENTS: dict[str, str] = {
    "main-job-digits": "striate.experiments.main.main_job_digits",
    "main-job-mnist": "striate.experiments.main.main_job_mnist",
    "main-job-caltech101": "striate.experiments.main.main_job_caltech101",
    "presets": "striate.experiments.main.presets",
    "solvers": "striate.experiments.codes.solvers",
    "sparse-coding-natural-patches": "striate.experiments.codes.sparse_coding_natural_patches",
    "psd-natural-patches": "striate.experiments.codes.psd_natural_patches",
    "psd-mnist-strokes": "striate.experiments.codes.psd_mnist_strokes",
    "psd-mnist-classification": "striate.experiments.codes.psd_mnist_classification",
    "rbm-mnist": "striate.experiments.energies.rbm_mnist",
    "deep-autoencoder-mnist": "striate.experiments.energies.deep_autoencoder_mnist",
    "drlim-mnist": "striate.experiments.robot.drlim_mnist",
    "text-retrieval-reuters": "striate.experiments.retrieval.text_retrieval_reuters",
    "optimal-vs-predicted": "striate.experiments.codes.optimal_vs_predicted",
    "code-stability": "striate.experiments.codes.code_stability",
    "overcomplete-separability": "striate.experiments.codes.overcomplete_separability",
    "code-cost": "striate.experiments.codes.code_cost",
    "lista-vs-fista": "striate.experiments.codes.lista_vs_fista",
    "lcod-vs-cod": "striate.experiments.codes.lcod_vs_cod",
    "convolutional-solvers": "striate.experiments.convolutional.convolutional_solvers",
    "convolutional-filters": "striate.experiments.convolutional.convolutional_filters",
    "convolutional-lista": "striate.experiments.convolutional.convolutional_lista",
    "inpainting": "striate.experiments.convolutional.inpainting",
    "topographic-filters": "striate.experiments.maps.topographic_filters",
    "invariance-vs-sift": "striate.experiments.maps.invariance_vs_sift",
    "pinwheels": "striate.experiments.maps.pinwheels",
    "pinwheels-patch": "striate.experiments.maps.pinwheels_patch",
    "temporal-product": "striate.experiments.maps.temporal_product",
    "energy-surfaces": "striate.experiments.energies.energy_surfaces",
    "energy-training": "striate.experiments.energies.energy_training",
    "caltech101-one-stage": "striate.experiments.recognition.caltech101_one_stage",
    "caltech101-two-stage": "striate.experiments.recognition.caltech101_two_stage",
    "caltech101-convolutional": "striate.experiments.convolutional.caltech101_convolutional",
    "caltech101-refined": "striate.experiments.recognition.caltech101_refined",
    "stage2-filters": "striate.experiments.recognition.stage2_filters",
    "caltech101-filter-count": "striate.experiments.recognition.caltech101_filter_count",
    "architecture-claims": "striate.experiments.recognition.architecture_claims",
    "random-filters": "striate.experiments.recognition.random_filters",
    "norb-labels": "striate.experiments.recognition.norb_labels",
    "norb-refined": "striate.experiments.recognition.norb_refined",
    "small-norb-refined": "striate.experiments.recognition.small_norb_refined",
    "caltech101-pmk": "striate.experiments.recognition.caltech101_pmk",
    "caltech101-competition": "striate.experiments.recognition.caltech101_competition",
    "caltech101-best": "striate.experiments.recognition.caltech101_best",
    "few-labels": "striate.experiments.recognition.few_labels",
    "live-learning": "striate.experiments.recognition.live_learning",
    "mnist-architecture": "striate.experiments.recognition.mnist_architecture",
    "mnist-best": "striate.experiments.recognition.mnist_best",
    "image-retrieval": "striate.experiments.retrieval.image_retrieval",
    "near-to-far": "striate.experiments.robot.near_to_far",
    "lagr-extractors": "striate.experiments.robot.lagr_extractors",
    "robot-drive": "striate.experiments.robot.robot_drive",
    "robot-timing": "striate.experiments.robot.robot_timing",
}


def load_experiment(name: str) -> Experiment:
    """Return an experiment by name.

    Raises
    ------
    UsageError
        If there is none of that name.
    """
    if name not in EXPERIMENTS:
        known = ", ".join(EXPERIMENTS) or "none yet"
        raise UsageError(f"there is no experiment {name!r}; the experiments are: {known}")
    return load(EXPERIMENTS[name])


def list_experiments(results: Path | None = None) -> list[dict[str, Any]]:
    """Return every experiment with its published numbers, goals and measured values.

    Parameters
    ----------
    results : Path, optional
        Folder with the results files; by default `results_folder()`.

    Returns
    -------
    list of dict
        See `summary`.
    """
    folder = results if results is not None else results_folder()
    tree = SourceTree()
    return [summary(load_experiment(name), folder, tree) for name in EXPERIMENTS]
