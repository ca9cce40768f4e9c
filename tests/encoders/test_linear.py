from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import Ridge

from striate.encoders import LinearEncoder
from striate.errors import UsageError


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_the_closed_form_is_optimal(rng: np.random.Generator, ridge: float) -> None:
    signals, codes = rng.standard_normal((5000, 6)) + 3, rng.standard_normal((5000, 4)) - 1  # more than one block
    encoder = LinearEncoder(ridge=ridge).fit(signals, codes)
    error = encoder.encode(signals) - codes
    penalty = ridge * signals.var(axis=0).mean()
    np.testing.assert_allclose(error.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(error.T @ signals / len(signals) + penalty * encoder.filters, 0, atol=1e-12)
    peer = Ridge(alpha=penalty * len(signals), solver="cholesky").fit(signals, codes)
    np.testing.assert_allclose(encoder.filters, peer.coef_, atol=1e-10)
    np.testing.assert_allclose(encoder.bias, peer.intercept_, atol=1e-10)


def test_scale_does_not_matter(rng: np.random.Generator) -> None:
    signals, codes = rng.standard_normal((50, 6)), rng.standard_normal((50, 4))
    one, other = (LinearEncoder(ridge=0.1).fit(scale * signals, codes) for scale in (1.0, 1e5))
    np.testing.assert_allclose(one.encode(signals), other.encode(1e5 * signals), atol=1e-10)


def test_singular_signals_need_a_ridge(rng: np.random.Generator) -> None:
    signals, codes = rng.standard_normal((50, 6)), rng.standard_normal((50, 4))
    signals[:, 2] = 7
    with pytest.raises(UsageError, match="set ridge above 0"):
        LinearEncoder(ridge=0).fit(signals, codes)
    assert np.isfinite(LinearEncoder().fit(signals, codes).filters).all()
    constant = LinearEncoder().fit(np.ones((50, 6)), codes)
    np.testing.assert_allclose(constant.encode(np.ones(6)), codes.mean(axis=0), atol=1e-12)


def test_sparse_codes_float32_and_one_signal(rng: np.random.Generator) -> None:
    signals, codes = rng.standard_normal((50, 6), dtype=np.float32), np.maximum(rng.standard_normal((50, 4)), 0)
    encoder = LinearEncoder().fit(signals, codes)
    packed = LinearEncoder().fit(signals, sparse.csr_array(codes))
    np.testing.assert_array_equal(packed.filters, encoder.filters)
    assert encoder.dtype == encoder.encode(signals).dtype == np.float32
    assert (encoder.n_components, encoder.n_features) == (4, 6)
    np.testing.assert_allclose(encoder.encode(signals[3]), encoder.encode(signals)[3], atol=1e-6)


def test_state_round_trip_and_bad_input(rng: np.random.Generator) -> None:
    signals, codes = rng.standard_normal((50, 6)), rng.standard_normal((50, 4))
    encoder = LinearEncoder().fit(signals, codes)
    again = LinearEncoder.from_state(*encoder.to_state())
    np.testing.assert_array_equal(again.encode(signals), encoder.encode(signals))
    with pytest.raises(UsageError, match="one bias each"):
        LinearEncoder.from_arrays(encoder.filters, encoder.bias[:2])
    with pytest.raises(UsageError, match="the shapes"):
        LinearEncoder().fit(signals, codes[:7])
    with pytest.raises(UsageError, match="ridge"):
        LinearEncoder(ridge=-1).fit(signals, codes)
    with pytest.raises(UsageError, match="NaN"):
        LinearEncoder().fit(np.where(signals > 2, np.nan, signals), codes)
    with pytest.raises(UsageError, match="real numbers"):
        encoder.encode(signals.astype(complex))
