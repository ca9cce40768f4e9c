"""FISTA for torch tensors, on their device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from striate.coding.inference import METHODS, Inference, warn_of_gap
from striate.coding.prepared_dictionary import PreparedDictionary
from striate.errors import UsageError

__all__ = ["infer_tensor"]

_BETWEEN_CHECKS = 10


@torch.no_grad()
def infer_tensor(
    signals: Any,
    dictionary: Any,
    sparsity: Any,
    positive: bool,
    start: Any,
    tolerance: float | None,
    max_iterations: int | None,
    info: bool,
) -> Any:
    """As `infer` with ``method="fista"``: codes of the dtype and on the device of the signals."""
    if isinstance(dictionary, PreparedDictionary):
        dictionary = dictionary.components.copy()
    if signals.ndim != 2 or not signals.is_floating_point():
        raise UsageError("signals must be a tensor (n_samples, n_features) of floating-point numbers")
    units = torch.as_tensor(dictionary).to(signals)
    if units.ndim != 2 or units.shape[1] != signals.shape[1]:
        raise UsageError(f"signals have shape {tuple(signals.shape)}, but the dictionary {tuple(units.shape)}")
    for name, array in (("signals hold", signals), ("the dictionary holds", units)):
        if not torch.isfinite(array).all():
            raise UsageError(f"{name} NaN or infinity; remove or mend it")
    weight = torch.as_tensor(sparsity).to(signals)
    if not ((weight > 0) & torch.isfinite(weight)).all():
        raise UsageError("sparsity must be above 0, and finite")
    tolerance = tolerance or (1e-6 if signals.dtype == torch.float64 else 1e-4)
    max_iterations = max_iterations or METHODS["fista"]
    gram, linear = units @ units.T, signals @ units.T
    # The curvature in double precision, enlarged a little because of rounding in the gradient.
    eigenvalue = float(torch.linalg.eigvalsh(gram.double().cpu())[-1]) * 1.0001
    step = 1 / eigenvalue if eigenvalue > 0 else 1.0
    energy = signals.double().square().sum(dim=1)
    code = torch.zeros_like(linear) if start is None else torch.as_tensor(start).to(signals).clone()
    code[energy == 0] = 0  # cannot be reached by any step
    point, age = code.clone(), torch.ones(len(signals), 1, dtype=signals.dtype, device=signals.device)
    iterations = torch.full((len(signals),), max_iterations)
    converged = torch.zeros(len(signals), dtype=torch.bool)
    objective, gap = energy / 2, energy / 2
    for iteration in range(max_iterations + 1):
        if iteration % _BETWEEN_CHECKS == 0 or iteration == max_iterations:
            objective, gap = _certificate(signals, code, units, weight, positive)
            done = (gap <= tolerance * energy / 2).cpu()
            iterations[done & ~converged] = iteration
            converged |= done
            if converged.all() or iteration == max_iterations:
                break
        moved = point - step * (point @ gram - linear)
        new = (moved - step * weight).clamp(min=0)
        if not positive:
            new = new - (-moved - step * weight).clamp(min=0)
        # The momentum points uphill (O'Donoghue & Candès 2015): forget it.
        uphill = ((point - new) * (new - code)).sum(dim=1, keepdim=True) > 0
        age = torch.where(uphill, torch.ones_like(age), age)
        older = (1 + (1 + 4 * age.square()).sqrt()) / 2
        point, code, age = new + (age - 1) / older * (new - code), new, older
    warn_of_gap(converged.numpy(), tolerance, "FISTA", max_iterations, stacklevel=3)
    if not info:
        return code
    objective, gap = _certificate(signals, code, units, weight, positive)
    relative = torch.where(energy > 0, gap / (energy / 2).clamp(min=torch.finfo(torch.float64).tiny), gap * 0)
    return Inference(
        code,
        objective.cpu().numpy(),
        gap.cpu().numpy(),
        relative.cpu().numpy(),
        iterations.numpy(),
        converged.numpy().astype(np.bool_),
    )


def _certificate(
    signals: torch.Tensor, code: torch.Tensor, units: torch.Tensor, weight: torch.Tensor, positive: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Objective and duality gap in double precision; see `certify`."""
    y, z, d, w = signals.double(), code.double(), units.double(), weight.double()
    residual = y - z @ d
    correlation = residual @ d.T
    ratio = ((correlation if positive else correlation.abs()) / w).amax(dim=1).clamp(min=1)
    square = residual.square().sum(dim=1)
    objective = square / 2 + (z.abs() * w).sum(dim=1)
    dual = (y * residual).sum(dim=1) / ratio - square / (2 * ratio.square())
    return objective, (objective - dual).clamp(min=0)
