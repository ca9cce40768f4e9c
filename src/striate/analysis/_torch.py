"""Gradient ascent on the input of a unit."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from striate.hierarchy import Hierarchy

__all__ = ["ascend"]


def ascend(
    hierarchy: Hierarchy, shape: tuple[int, int, int], n_steps: int, step: float, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Stimuli of unit norm, one per map, and the responses at the middle of the maps after each step."""
    twin = hierarchy.to_torch().double()
    n_maps, height, width = hierarchy.output_shape(shape)
    generator = torch.Generator().manual_seed(seed)
    stimuli = torch.randn((n_maps, *shape), generator=generator, dtype=torch.float64)
    scale = float(np.sqrt(np.prod(shape)))
    responses = []
    own = torch.arange(n_maps)
    for number in range(n_steps + 1):
        stimuli = stimuli - stimuli.mean(dim=(1, 2, 3), keepdim=True)
        stimuli = stimuli / stimuli.flatten(1).norm(dim=1)[:, None, None, None] * scale
        stimuli.requires_grad_(True)
        response = twin(stimuli)[own, own, height // 2, width // 2]
        responses.append(response.detach().numpy().copy())
        if number == n_steps:
            break
        (gradient,) = torch.autograd.grad(response.sum(), stimuli)
        with torch.no_grad():
            # The step is along the sphere: the part that only changes the norm is removed.
            flat, radius = gradient.flatten(1), stimuli.flatten(1)
            flat = flat - (flat * radius).sum(dim=1, keepdim=True) / scale**2 * radius
            direction = flat / flat.norm(dim=1, keepdim=True).clamp_min(1e-12)
            rate = step * scale * (1 - number / n_steps)
            stimuli = (radius + rate * direction).reshape(stimuli.shape)
    return stimuli.detach().numpy().astype(np.float32), np.array(responses)
