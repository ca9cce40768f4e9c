from __future__ import annotations

import numpy as np
import pytest

from striate.coding import energy


def test_energy_by_hand() -> None:
    patches, codes, dictionary = np.array([[3.0, 0.0]]), np.array([[2.0, -1.0]]), np.eye(2)
    assert energy(patches, codes, dictionary, 0.5) == pytest.approx(0.5 * (1 + 1) + 0.5 * 3)
    target = np.array([[2.0, 1.0]])
    actual = energy(patches, codes, dictionary, 0.5, prediction=2.0, target=target)
    assert actual == pytest.approx(1 + 1.5 + 4)
