from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from striate.learning._schedule import Schedule


@given(n_samples=st.integers(1, 400), batch_size=st.integers(1, 90), seed=st.integers(0, 2**62))
def test_an_epoch_sees_every_training_sample_once(n_samples: int, batch_size: int, seed: int) -> None:
    schedule = Schedule(n_samples, batch_size, held_out_fraction=0.1, seed=seed)
    together = np.concatenate([schedule.train, schedule.held_out])
    np.testing.assert_array_equal(np.sort(together), np.arange(n_samples))
    assert schedule.held_out.size == (n_samples // 10 if n_samples >= 50 else 0)
    n = schedule.batches_per_epoch
    for epoch in (0, 1):
        rows = np.concatenate(list(schedule.batches(epoch * n, (epoch + 1) * n)))
        np.testing.assert_array_equal(np.sort(rows), np.sort(schedule.train))


def test_batches_depend_on_their_number_alone() -> None:
    schedule = Schedule(130, 30, held_out_fraction=0.1, seed=4)
    whole = list(schedule.batches(0, 14))
    for start in range(14):
        for batch, resumed in zip(whole[start:], schedule.batches(start, 14), strict=True):
            np.testing.assert_array_equal(batch, resumed)
    assert not np.array_equal(whole[0], whole[schedule.batches_per_epoch])  # epochs differ
