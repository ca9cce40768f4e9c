from __future__ import annotations

import numpy as np

from striate.live.pool import Pool


def test_frames_around_a_sample_are_left_out() -> None:
    pool = Pool()
    pool.hold(b"long before", 10.0)
    assert pool.ripe(11.9) == []
    assert not pool.is_idle(10.4)
    assert pool.ripe(12.0) == [b"long before"]
    pool.hold(b"just before", 20.0)
    pool.note_sample(21.0)
    assert pool.ripe(100.0) == []
    assert not pool.is_idle(22.9)
    assert pool.is_idle(23.0)


def test_the_pool_is_bounded_and_a_fair_sample() -> None:
    n, most = 300, 30
    counts = np.zeros(n)
    for seed in range(200):
        pool = Pool(most, seed)
        for frame in range(n):
            if pool.chooses():
                pool.put(frame, b"")
            assert len(pool.frames) <= most
        counts[list(pool.frames)] += 1
    # Each frame is in the pool with probability 1/10: 20 of 200 times, give or take 4.2.
    assert counts.sum() == 200 * most
    assert abs(counts[:100].mean() - 20) < 2
    assert abs(counts[-100:].mean() - 20) < 2
    assert counts.max() < 20 + 6 * 4.3


def test_what_a_person_adds_is_always_taken() -> None:
    pool = Pool(3)
    for frame in range(50):
        pool.put(frame, bytes([frame]))
        assert pool.frames[frame] == bytes([frame])
        assert len(pool.frames) == min(3, frame + 1)
    pool.drop(49)
    pool.drop(49)
    assert 49 not in pool.frames
