"""The temporal product network: gradients, descent, known content and location, wrong use, and resuming."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.utils.estimator_checks import parametrize_with_checks

from striate import model_file
from striate.checkpoint import Checkpoint
from striate.errors import UsageError
from striate.learning import ProductCodes, TemporalProduct
from striate.learning._product_encoder import ProductEncoder
from striate.learning._product_energy import ProductEnergy, simple_cells
from tests.killing import learn_through_kills

_SMALL: dict[str, Any] = {"n_content": 6, "group_size": 3, "max_batches": 20, "batch_size": 10, "random_state": 0}


@parametrize_with_checks([TemporalProduct(**_SMALL | {"n_frames": 1})])
def test_scikit_learn_contract(estimator: TemporalProduct, check: Any) -> None:
    check(estimator)


def same(one: TemporalProduct, other: TemporalProduct) -> bool:
    """Bit for bit, what learning would go on with included."""
    arrays, header = one.to_state(training=True)
    other_arrays, other_header = other.to_state(training=True)
    return header == other_header and all(np.array_equal(arrays[name], other_arrays[name]) for name in arrays)


def rotating(rng: np.random.Generator, n: int, *, n_planes: int = 4, frames: int = 3) -> tuple[NDArray[Any], ...]:
    """Points that rotate in one of several planes of a space: frames, which plane, the radius, and the angles."""
    plane = rng.integers(n_planes, size=n)
    radius = rng.uniform(2, 4, n)
    angles = rng.uniform(0, 2 * np.pi, (n, 1)) + rng.uniform(-0.9, 0.9, (n, 1)) * np.arange(frames)
    found = np.zeros((n, frames, n_planes, 2), np.float32)
    found[np.arange(n), :, plane] = radius[:, np.newaxis, np.newaxis] * np.stack([np.cos(angles), np.sin(angles)], -1)
    return found.reshape(n, frames, -1), plane, radius, angles


def random_codes(rng: np.random.Generator, *, frames: int = 3) -> tuple[Any, ...]:
    """Frames, a dictionary, and two codes of 5 sequences with 4 groups of 3."""
    x = rng.standard_normal((5, frames, 7))
    components = rng.standard_normal((12, 7))
    components /= np.linalg.norm(components, axis=1, keepdims=True)
    one, other = (ProductCodes(rng.random((5, 4)), rng.random((5, frames, 12))) for _ in range(2))
    return x, components, one, other


def test_the_energy_is_its_definition(rng: np.random.Generator) -> None:
    x, components, codes, aim = random_codes(rng)
    found = ProductEnergy(components, 0.3, 0.7).of(x, codes, aim)
    for n in range(5):
        expected = 0.3 * codes.content[n].sum() + 0.35 * np.square(codes.content[n] - aim.content[n]).sum()
        for t in range(3):
            made = sum(codes.content[n, k // 3] * codes.location[n, t, k] * components[k] for k in range(12))
            expected += 0.5 * np.square(x[n, t] - made).sum() / 3 + 0.1 * codes.location[n, t].sum()
            expected += 0.35 * np.square(codes.location[n, t] - aim.location[n, t]).sum() / 3
        assert found[n] == pytest.approx(expected)


@pytest.mark.parametrize("prediction", [0.0, 0.5])
def test_no_step_raises_the_energy_of_any_sequence(rng: np.random.Generator, prediction: float) -> None:
    x, components, codes, aim = random_codes(rng)
    energy = ProductEnergy(components, 0.1, prediction)
    before = energy.of(x, codes, aim)
    first = before
    for _ in range(60):
        codes = energy.descend(x, codes, aim, 1)
        now = energy.of(x, codes, aim)
        assert np.all(now <= before + 1e-10)
        before = now
    assert np.all(before < 0.8 * first)
    assert codes.content.min() >= 0
    assert codes.location.min() >= 0


def test_descent_ends_where_no_small_change_lowers_the_energy(rng: np.random.Generator) -> None:
    x, components, codes, aim = random_codes(rng)
    energy = ProductEnergy(components, 0.1, 0.2)
    codes = energy.descend(x, codes, aim, 20_000)
    least = energy.of(x, codes, aim)
    for _ in range(200):
        change = [1e-4 * rng.standard_normal(array.shape) for array in codes]
        near = ProductCodes(*(np.maximum(a + b, 0) for a, b in zip(codes, change, strict=True)))
        assert np.all(energy.of(x, near, aim) >= least - 1e-7)


@pytest.mark.parametrize("frames", [1, 3])
def test_gradients_of_the_encoder_are_finite_differences(rng: np.random.Generator, frames: int) -> None:
    x, components, codes, _ = random_codes(rng, frames=frames)
    encoder = ProductEncoder(
        components.copy(), 0.1 * rng.standard_normal(12), rng.uniform(0.5, 1, 12), rng.uniform(0.5, 1, 4)
    )

    def loss() -> float:
        found = encoder.encode(x)
        location = np.square(found.location - codes.location).sum(axis=2).mean()
        return float(0.5 * (np.square(found.content - codes.content).sum(axis=1).mean() + location))

    gradients = encoder.gradients(x, codes)
    for name, array in encoder._asdict().items():
        flat = array.reshape(-1)
        for place in rng.integers(flat.size, size=8):
            kept, values = flat[place], []
            for step in (1e-6, -1e-6):
                flat[place] = kept + step
                values.append(loss())
            flat[place] = kept
            expected = (values[0] - values[1]) / 2e-6
            assert gradients[name].reshape(-1)[place] == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_the_step_of_the_dictionary_is_against_its_gradient(rng: np.random.Generator) -> None:
    x, components, codes, aim = random_codes(rng)
    cells = simple_cells(codes).reshape(-1, 12)
    found = cells.T @ (x.reshape(-1, 7) - cells @ components)  # of which the learner takes a share
    for k, j in zip(rng.integers(12, size=6), rng.integers(7, size=6), strict=True):
        values = []
        for step in (1e-6, -1e-6):
            moved = components.copy()
            moved[k, j] += step
            values.append(float(ProductEnergy(moved, 0.3, 0.2).of(x, codes, aim).sum()) * 3)
        assert -found[k, j] == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5, abs=1e-6)


def test_content_is_the_plane_and_location_the_angle(rng: np.random.Generator) -> None:
    frames, plane, radius, angles = rotating(rng, 3000)
    learner = TemporalProduct(8, sparsity=0.2, max_batches=700, random_state=0, remove_mean=False).fit(frames[:2500])
    x, plane, radius, angles = frames[2500:], plane[2500:], radius[2500:], angles[2500:]
    content = learner.transform(x)
    # A content cell belongs to one plane, whatever the angle, and the cells of a plane tell the radius.
    means = np.stack([content[plane == k].mean(axis=0) for k in range(4)])
    own = means.argmax(axis=0)
    assert set(own.tolist()) == {0, 1, 2, 3}
    mine = np.where(own == plane[:, np.newaxis], content, 0)
    assert np.square(mine).sum() > 0.8 * np.square(content).sum()
    assert np.corrcoef(np.square(mine).sum(axis=1), radius)[0, 1] > 0.4
    # The location tells the angle: a linear map of a plane's cells finds its cosine and sine.
    location = learner.transform(x, location=True)
    for k in range(4):
        cells = location.reshape(len(x), 3, 8, 4)[plane == k][:, :, own == k].reshape(3 * np.sum(plane == k), -1)
        cells /= np.maximum(np.linalg.norm(cells, axis=1, keepdims=True), 1e-6)
        aim = np.stack([np.cos(angles[plane == k]), np.sin(angles[plane == k])], -1).reshape(-1, 2)
        solved = np.linalg.lstsq(cells, aim, rcond=None)[0]
        assert 1 - np.square(cells @ solved - aim).sum() / np.square(aim).sum() > 0.8
    # Content changes less from frame to frame than location does, and another frame's location moves it there.
    one = learner.transform(x[:, :1])
    changes = []
    for before, after in ((one, learner.transform(x[:, 1:2])), (location[:, 0], location[:, 1])):
        unrelated = np.square(before - after[::-1]).sum()
        changes.append(np.square(before - after).sum() / unrelated)
    assert changes[0] < 0.5 * changes[1]
    there = learner.transform(x[:, 2:], location=True)
    errors = [np.square(learner.decode(given, there) - x[:, 2:]).sum() for given in (one, one[::-1])]
    assert errors[0] < 0.3 * np.square(x[:, 2:]).sum()
    assert errors[0] < 0.5 * errors[1]


def test_inferred_codes_have_less_energy_than_predicted_ones(rng: np.random.Generator) -> None:
    frames = rotating(rng, 300)[0]
    learner = TemporalProduct(**_SMALL).fit(frames)
    scaled = learner.scaled(frames)
    predicted = learner._encoder.encode(scaled)
    energy = learner._energy(np.dtype(np.float32))
    values = [
        energy.of(scaled, codes, predicted).mean()
        for codes in (predicted, learner.infer(frames, max_steps=10), learner.infer(frames, tolerance=1e-6))
    ]
    assert values[0] > values[1] >= values[2]
    assert learner.infer(frames).content.shape == (300, 6)
    assert learner.decode(*learner.infer(frames)).shape == frames.shape


def test_tables_and_three_dimensions_are_the_same_sequences(rng: np.random.Generator, tmp_path: Path) -> None:
    frames = rotating(rng, 100)[0]
    rows = frames.reshape(100, -1)
    learner = TemporalProduct(**_SMALL).fit(frames)
    assert same(learner, TemporalProduct(**_SMALL).fit(rows))
    np.testing.assert_array_equal(learner.transform(frames), learner.transform(rows))
    np.save(tmp_path / "rows.npy", frames)
    assert same(learner, TemporalProduct(**_SMALL).fit(np.load(tmp_path / "rows.npy", mmap_mode="r")))
    assert learner.transform(frames[:, :1]).shape == (100, 6)
    assert learner.transform(np.concatenate([frames, frames], axis=1), location=True).shape == (100, 6, 18)
    assert learner.n_features_in_ == rows.shape[1]
    assert learner.get_feature_names_out()[-1] == "temporalproduct5"
    # Content is a mean over frames: a sequence of one frame three times has that frame's content.
    still = np.repeat(frames[:, :1], 3, axis=1)
    np.testing.assert_allclose(learner.transform(still), learner.transform(frames[:, :1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_in_is_dtype_out_and_the_scale_makes_no_difference(rng: np.random.Generator, dtype: type) -> None:
    frames: NDArray[Any] = rotating(rng, 80)[0].astype(dtype)
    learner = TemporalProduct(**_SMALL).fit(frames)
    assert learner.components_.dtype == learner.transform(frames).dtype == learner.infer(frames).content.dtype == dtype
    larger = TemporalProduct(**_SMALL).fit(64 * frames)
    np.testing.assert_allclose(larger.transform(64 * frames), learner.transform(frames), rtol=1e-3, atol=1e-4)
    made = learner.decode(*learner.infer(frames))
    np.testing.assert_allclose(larger.decode(*larger.infer(64 * frames)), 64 * made, rtol=1e-2, atol=0.1)


def test_a_fit_killed_at_random_batches_ends_with_the_same_bits(rng: np.random.Generator, tmp_path: Path) -> None:
    frames = rotating(rng, 200)[0]
    options = _SMALL | {"max_batches": 130}
    whole = TemporalProduct(**options).fit(frames)

    def learn(checkpoint: Checkpoint) -> TemporalProduct:
        return TemporalProduct(**options).fit(frames, checkpoint=checkpoint)

    pieces, resumes = learn_through_kills(learn, tmp_path / "run", lambda: int(rng.integers(0, 60)))
    assert resumes > 1
    assert same(whole, pieces)
    assert [found.n_batches for found in whole.history_] == [100, 130]


def test_state_survives_a_file_and_learning_goes_on_to_the_same_bits(rng: np.random.Generator, tmp_path: Path) -> None:
    frames = rotating(rng, 100)[0]
    learner = TemporalProduct(**_SMALL).partial_fit(frames)
    model_file.write(tmp_path / "a.safetensors", *learner.to_state(training=True), kind="temporal product")
    loaded = TemporalProduct.from_state(*model_file.read(tmp_path / "a.safetensors", kind="temporal product"))
    np.testing.assert_array_equal(loaded.transform(frames), learner.transform(frames))
    assert loaded.get_params() == learner.get_params()
    assert same(loaded.partial_fit(frames), learner.partial_fit(frames))
    light = TemporalProduct.from_state(*learner.to_state())
    np.testing.assert_array_equal(light.transform(frames), learner.transform(frames))
    again = pickle.loads(pickle.dumps(learner))
    assert same(again.partial_fit(frames), learner.partial_fit(frames))


def test_silent_cells_are_replaced(rng: np.random.Generator) -> None:
    frames = rotating(rng, 200)[0]
    learner = TemporalProduct(**_SMALL).fit(frames)
    before = learner.components_.copy()
    learner.usage_[:2] = 0
    used = learner.usage_ >= 1e-3
    learner._replace_dead_units(learner.scaled(frames[:50]))
    changed = np.any(before != learner.components_, axis=1)
    assert changed[:2].all()
    assert not changed[used].any()
    np.testing.assert_allclose(np.linalg.norm(learner.components_, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({"n_content": 0}, (20, 12), "n_content is 0"),
        ({"sparsity": -1}, (20, 12), "sparsity is -1"),
        ({"n_frames": 5}, (20, 12), "n_features = 12 cannot be divided by n_frames=5"),
        ({}, (20, 4, 3), "sequences have 4 frames, and n_frames=3"),
        ({}, (20, 3), "n_features = 1 per frame"),
        ({}, (20,), "1D array"),
        ({}, (0, 12), "0 sample"),
    ],
)
def test_wrong_use_is_told(rng: np.random.Generator, options: Any, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TemporalProduct(**_SMALL | options).fit(rng.random(shape))


def test_broken_data_are_told(rng: np.random.Generator) -> None:
    frames = rotating(rng, 40)[0]
    learner = TemporalProduct(**_SMALL).fit(frames)
    with pytest.raises(UsageError, match=r"shape \(40, 3, 7\), and \(n_sequences, n_frames, 8\) is needed"):
        learner.transform(frames[:, :, :7])
    with pytest.raises(ValueError, match="24 features"):
        learner.transform(frames.reshape(40, -1)[:, :21])
    with pytest.raises(UsageError, match="no frames"):
        learner.transform(frames[:0])
    with pytest.raises(UsageError, match="contents have shape"):
        learner.decode(np.zeros((2, 5)), np.zeros((2, 3, 18)))
    with pytest.raises(UsageError, match="locations have shape"):
        learner.decode(np.zeros((2, 6)), np.zeros((3, 3, 18)))
    frames[7, 1, 0] = np.nan
    with pytest.raises(UsageError, match="first in sample 7"):
        learner.fit(frames)
    with pytest.raises(UsageError, match="first in sample 7"):
        learner.infer(frames)
    with pytest.raises(UsageError, match=r"diverged .* lower decoder_rate \(now 1\), encoder_rate \(now 1e\+30\)"):
        TemporalProduct(**_SMALL | {"encoder_rate": 1e30}).fit(frames[8:])
