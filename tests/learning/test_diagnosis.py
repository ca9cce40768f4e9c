from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from striate.errors import UsageError
from striate.learning import PSD, HeldOut
from striate.learning._diagnosis import diagnose_psd

HEALTHY = [HeldOut(100 * n, 40 + 20 / n, 0.1, 20.0, 30.0) for n in range(1, 31)]


def findings(looks: list[HeldOut] = HEALTHY, usage: Any = 0.1, n_batches: int = 3000) -> tuple[str, ...]:
    of_units = np.broadcast_to(usage, 100).astype(float)
    return diagnose_psd(looks, of_units, energy_of_nothing=72.0, sparsity=1.0, prediction=1.0, n_batches=n_batches)


def test_a_healthy_model_has_no_findings() -> None:
    assert findings() == ()


@pytest.mark.parametrize(
    ("usage", "message"),
    [
        (0.97, "collapsed onto the prediction"),
        (1e-4, "codes are empty"),
        (np.repeat([0.0, 0.1], [20, 80]), "20 of 100 are used by fewer"),
    ],
)
def test_usage_tells_of_collapse_emptiness_and_death(usage: Any, message: str) -> None:
    (found,) = findings(usage=usage)
    assert message in found
    assert "sparsity (now 1)" in found


def test_errors_tell_of_an_encoder_that_lags_and_of_learning_that_ended_too_soon() -> None:
    (lags,) = findings([*HEALTHY[:-1], HEALTHY[-1]._replace(predicted_error=60.0)])
    assert "encoder lags: predicted codes explain 23%" in lags
    (falls,) = findings(HEALTHY[:3], n_batches=300)
    assert "still falls after 300 batches" in falls


def test_codes_that_collapse_in_real_learning_are_seen(rng: np.random.Generator) -> None:
    patches = rng.standard_normal((400, 25)).astype(np.float32)
    collapsed = PSD(16, sparsity=1e-4, prediction=50, max_batches=60, random_state=0).fit(patches)
    assert any("collapsed" in found for found in collapsed.diagnose())
    empty = PSD(16, sparsity=50, max_batches=20, random_state=0).fit(patches)
    assert any("empty" in found for found in empty.diagnose())


def test_units_that_die_in_real_learning_are_seen(rng: np.random.Generator) -> None:
    # Six kinds of patches for sixty units, and codes that no prediction keeps alive: what is replaced dies again.
    kinds = rng.standard_normal((6, 36))[rng.integers(0, 6, 2000)]
    patches = (kinds * rng.uniform(0.5, 2, (2000, 1))).astype(np.float32)
    dead = PSD(60, predict_in_inference=False, max_batches=600, max_epochs=1000, random_state=0).fit(patches)
    assert any("units die" in sentence for sentence in dead.diagnose())


def test_healthy_learning_has_no_findings(rng: np.random.Generator) -> None:
    codes = rng.laplace(size=(4000, 24)) * (rng.random((4000, 24)) < 0.15)
    patches = (codes @ rng.standard_normal((24, 16))).astype(np.float32)
    assert PSD(24, max_batches=2000, random_state=0).fit(patches).diagnose() == ()


def test_nothing_learned_has_no_diagnosis() -> None:
    with pytest.raises(UsageError, match="fit first"):
        findings(n_batches=0)
