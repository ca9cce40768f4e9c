"""The orientation map of a sheet of learned filters, and what is measured of it beside its controls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.analysis import (
    OrientationMap,
    PinwheelDensity,
    nearest_distances,
    phase_randomized,
    pinwheel_density,
    sheet_maps,
    shuffled,
)
from striate.images import local_contrast_normalization, to_grey, whiten

__all__ = ["as_map", "described", "map_of", "neighbor_difference", "prepared"]

_SURROGATES = 5  # whose densities are averaged


def prepared(cutoff: float) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """Return what whitens an image up to a cutoff in cycles per pixel, and normalizes its contrast."""

    def prepare(image: NDArray[Any]) -> NDArray[np.float32]:
        return local_contrast_normalization(whiten(to_grey(image), cutoff=cutoff)).astype(np.float32)

    return prepare


def map_of(filters: NDArray[Any], shape: tuple[int, int], *, periodic: bool = False, margin: int = 0) -> OrientationMap:
    """The orientation map of filters, row by row of a sheet, by their spectra (`sheet_maps`).

    Parameters
    ----------
    filters : float (n_filters, height, width)
    shape : (int, int)
        Rows and columns of the sheet.
    periodic : bool
    margin : int
        Units at the border of the sheet that are left out.
    """
    responses = sheet_maps(filters, shape, method="spectrum").orientation_map.responses
    return OrientationMap(responses[margin : shape[0] - margin, margin : shape[1] - margin], periodic)


def neighbor_difference(given: OrientationMap) -> float:
    """The mean difference of orientation between units side by side, in degrees; 45 without any order."""
    z = given.responses
    pairs = [(z[1:], z[:-1]), (z[:, 1:], z[:, :-1])]
    return float(np.degrees(np.mean(np.concatenate([np.abs(np.angle(a * b.conj())).ravel() for a, b in pairs])) / 2))


def described(given: OrientationMap, *, seed: int) -> dict[str, Any]:
    """Numbers of a map, of the map with its units shuffled, and of maps with its spectrum and random phases."""
    found = pinwheel_density(given)
    spacing = found.spacing if np.isfinite(found.spacing) else None
    mixed = shuffled(given, random_state=seed)
    control = pinwheel_density(mixed, spacing=max(spacing, 2.0)) if spacing else pinwheel_density(mixed)
    surrogates = [pinwheel_density(phase_randomized(given, random_state=seed + i)) for i in range(_SURROGATES)]
    z = given.responses
    return {
        "shape": list(given.shape),
        "map": [np.round(part, 4).tolist() for part in (z.real, z.imag)],
        "difference": neighbor_difference(given),
        "shuffled difference": neighbor_difference(mixed),
        "selectivity": float(np.abs(z).mean()),
        **_numbers(found),
        "shuffled": _numbers(control),
        "surrogates": [_numbers(one) for one in surrogates],
    }


def as_map(numbers: Mapping[str, Any], *, periodic: bool = False) -> OrientationMap:
    """The map that `described` has stored."""
    real, imaginary = (np.asarray(part) for part in numbers["map"])
    return OrientationMap(real + 1j * imaginary, periodic)


def _numbers(found: PinwheelDensity) -> dict[str, Any]:
    """None for what is not a number, as JSON has none."""
    nearest = nearest_distances(found.pinwheels)

    def number(value: float) -> float | None:
        return float(value) if np.isfinite(value) else None

    def mean(distances: NDArray[np.float64]) -> float | None:
        finite = distances[np.isfinite(distances)]
        return number(float(finite.mean()) / found.spacing) if finite.size else None

    return {
        "density": number(found.density),
        "error": number(found.standard_error),
        "spacing": number(found.spacing),
        "hypercolumns": number(found.n_hypercolumns),
        "imbalance": number(found.pinwheels.imbalance),
        "pinwheels": len(found.pinwheels),
        "nearest, equal charge": mean(nearest.equal),
        "nearest, opposite charge": mean(nearest.opposite),
        "caveats": list(found.caveats),
    }
