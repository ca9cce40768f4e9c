"""Figures of filled images: paired by image, and not run without sporco."""

from __future__ import annotations

from typing import Any

import pytest

from striate.experiments import NotRunError, Results, load_experiment

EXPERIMENT = load_experiment("inpainting")


def finished(**levels: float) -> dict[str, Any]:
    """Results of these methods: their level in dB, plus the number of the image."""
    found: dict[str, Any] = {}
    for unit in EXPERIMENT.units("full"):
        method, numbers = unit.settings["method"], unit.settings["images"]
        if method in levels:
            found[unit.name] = {
                "psnr": [levels[method] + n for n in numbers],
                "seconds": [levels[method]] * len(numbers),
            }
    return found


def measured(what: str, found: dict[str, Any]) -> Any:
    (figure,) = (figure for figure in EXPERIMENT.figures if figure.what == what)
    return figure.read(Results("full", EXPERIMENT.units("full"), found))


def test_differences_are_paired_by_image() -> None:
    found = finished(striate=30.0, biharmonic=29.0, sporco=300.0)
    gain = measured("PSNR over a biharmonic fill, 50 % missing", found)
    assert (gain.value, gain.uncertainty, gain.n, gain.held) == (pytest.approx(1), pytest.approx(0), 20, True)
    assert measured("PSNR minus that of sporco, 50 % missing", found).value == pytest.approx(-270)
    assert measured("time over that of sporco, 50 % missing", found).value == pytest.approx(0.1)


def test_without_sporco_its_figures_are_not_run() -> None:
    found = finished(striate=30.0, biharmonic=29.0)
    assert measured("time over that of sporco, 50 % missing", found) is None
    assert measured("PSNR over a biharmonic fill, 25 % missing", found).held
    with pytest.raises(NotRunError):
        Results("quick", EXPERIMENT.units("quick"), {}).select(method="sporco").column("psnr")
    assert [unit.settings["method"] for unit in EXPERIMENT.units("full")][-5:] == ["sporco"] * 5
