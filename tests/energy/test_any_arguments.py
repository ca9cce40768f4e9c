"""Every public name of the folder checks what it is given, and takes points of any layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate import energy
from striate.energy import Grid, KMeansEnergy, Parabola, PCAEnergy, Window
from striate.errors import UsageError
from tests.calls import Call, layouts_make_no_difference, numpy_numbers_are_pythons, wrong_arguments_are_named

POINTS = Parabola().sample(200, random_state=0)
WINDOW = Window(-2.0, 2.0, -2.0, 2.0)
GRID = Grid(WINDOW, 12)
ENERGIES = np.square(GRID.points).sum(axis=1)
_MACHINE: dict[str, Any] = {"n_units": 2, "random_state": 0}
_TRAINED: dict[str, Any] = {"window": WINDOW, "n_batches": 8, "batch_size": 20, "rate": 0.01}
MACHINES: dict[str, dict[str, Any]] = {
    "PCAEnergy": {"n_units": 1},
    "KMeansEnergy": _MACHINE,
    "AutoencoderEnergy": {
        **_MACHINE, **_TRAINED, "hidden": (4,), "pull_up": "dimension", "precision": 20.0, "grid_size": 10,
    },
    "DenoisingEnergy": {**_MACHINE, **_TRAINED, "noise": 0.1},
    "SparseCodingEnergy": {**_MACHINE, "sparsity": 0.5, "positive": True, "height": 1.0},
    "PSDEnergy": {**_MACHINE, "sparsity": 0.3, "prediction": 1.0, "height": 1.0},
    "RBMEnergy": {**_MACHINE, "precision": 3.0, "n_epochs": 2},
    "NetworkEnergy": {
        **_TRAINED, "hidden": (4, 4), "criterion": "score_matching", "grid_size": 10, "sampler": "hamiltonian",
        "n_sampler_steps": 2, "step": 0.02, "noise": 0.02, "snapshots": (2, 4), "random_state": 0,
    },
}  # fmt: skip


def _slopes(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return 0.5 * np.square(points).sum(axis=1), points


_CHAIN: dict[str, Any] = {
    "slopes": _slopes, "points": POINTS, "n_steps": 3, "step": 0.1, "window": WINDOW, "rng": 0,
}  # fmt: skip
CALLS = [
    *[Call(name, getattr(energy, name), arguments) for name, arguments in MACHINES.items()],
    Call("ThreeCauchy", energy.ThreeCauchy, {"length": 1.0, "width": 0.1, "half_side": 4.0}),
    Call("Spiral", energy.Spiral, {"turns": 1.5, "noise": 0.03}),
    Call("Parabola", energy.Parabola, {"noise": 0.05}),
    Call("Density.sample", Parabola().sample, {"n_points": 7, "random_state": 0}),
    Call("Density.log_density", Parabola().log_density, {"points": POINTS}, ("points",)),
    Call("places", energy.Spiral().places, {"u": np.linspace(0, 1, 9)}, ("u",)),
    Call("Window", Window, {"left": -1.0, "right": 2.0, "bottom": -3.0, "top": 4.0}),
    Call("Window.around", Window.around, {"points": POINTS, "margin": 0.2}, ("points",)),
    Call("Grid", Grid, {"window": WINDOW, "size": 20}),
    Call("log_partition", GRID.log_partition, {"energies": ENERGIES}, ("energies",)),
    Call("log_density", GRID.log_density, {"energies": ENERGIES}, ("energies",)),
    Call("image", GRID.image, {"values": ENERGIES}, ("values",)),
    Call("local_minima", GRID.local_minima, {"values": ENERGIES}, ("values",)),
    Call("low_share", GRID.low_share, {"energies": ENERGIES, "bound": 1.0}, ("energies",)),
    Call(
        "Grid.divergence", GRID.divergence, {"log_density": -ENERGIES, "energies": ENERGIES},
        ("log_density", "energies"),
    ),
    Call("langevin", energy.langevin, _CHAIN, ("points",), unchecked=("rng",)),
    Call("hamiltonian", energy.hamiltonian, {**_CHAIN, "n_leaps": 2}, ("points",), unchecked=("rng",)),
    Call("code_entropy", energy.code_entropy, {"codes": POINTS, "step": 0.1}, ("codes",)),
    Call("temperature", energy.temperature, {"model": PCAEnergy().fit(POINTS), "X": POINTS, "grid": GRID}, ("X",)),
    Call(
        "divergence", energy.divergence,
        {"model": PCAEnergy().fit(POINTS), "density": Parabola(), "size": 20, "factor": 2.0},
    ),
]  # fmt: skip


def _same(found: Any, expected: Any) -> None:
    if hasattr(expected, "__dict__"):
        for name, value in vars(expected).items():
            if not isinstance(value, np.ndarray | Window | energy.EnergyModel):
                assert getattr(found, name) == value, name
                assert type(getattr(found, name)) is type(value), name
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_wrong_arguments(call: Call) -> None:
    wrong_arguments_are_named(call)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_numpy_numbers(call: Call) -> None:
    numpy_numbers_are_pythons(call, _same)


@pytest.mark.parametrize("call", [call for call in CALLS if call.tables], ids=str)
def test_layouts(call: Call, tmp_path: Path) -> None:
    layouts_make_no_difference(call, tmp_path, _same)


@pytest.mark.parametrize("name", MACHINES)
def test_machines_take_points_of_any_layout(name: str, tmp_path: Path) -> None:
    def fitted(points: Any) -> Any:
        return getattr(energy, name)(**MACHINES[name]).fit(points).free_energy(points)

    layouts_make_no_difference(Call(name, fitted, {"points": POINTS}, ("points",)), tmp_path, _same)


def test_every_public_name_is_tried() -> None:
    tried = {call.name for call in CALLS} | {"Density", "EnergyModel", "Machine", "read_points"}
    assert set(energy.__all__) <= tried


def test_points_far_apart_and_chains_that_never_meet_their_window() -> None:
    with pytest.raises(UsageError, match="in its window"):
        energy.ThreeCauchy(length=1e90, width=1e90, half_side=1e-90).sample(1, random_state=0)
    with pytest.raises(UsageError, match="step is 1e-300"):
        energy.code_entropy([[1e20, 0.0]], 1e-300)
    assert energy.code_entropy([[-1e-9], [1e-9]], 0.1) == 0
    assert np.isfinite(energy.RBMEnergy(2, n_epochs=1, random_state=0).fit(np.ones((5, 2))).energy([[1.0, 1.0]])).all()
    with pytest.raises(UsageError, match="need at least"):
        KMeansEnergy(6).fit(np.ones((5, 2)))
