"""The check that all torch twins pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def assert_twin_agrees_and_differentiates(encoder: Any, signals: np.ndarray) -> None:
    """The same codes as the encoder's, and gradients in all parameters that finite differences confirm."""
    torch = pytest.importorskip("torch")
    from striate.encoders._torch import Twin

    twin = Twin(encoder)
    tensor = torch.from_numpy(signals)
    np.testing.assert_allclose(twin(tensor).detach().numpy(), encoder.encode(signals), atol=1e-12)
    names, values = zip(*twin.named_parameters(), strict=True)

    def codes(*changed: Any) -> Any:
        return torch.func.functional_call(twin, dict(zip(names, changed, strict=True)), (tensor,))

    assert torch.autograd.gradcheck(codes, values)
