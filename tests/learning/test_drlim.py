"""DrLIM: its loss by finite differences, its pairs, what it learns, and states that go on to the same bits."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from striate import model_file
from striate.checkpoint import Checkpoint
from striate.errors import UsageError
from striate.learning import DrLIM
from striate.learning._pair_loss import contrastive_loss
from striate.learning._pairs import Relation
from tests.killing import learn_through_kills

_SMALL: dict[str, Any] = {"hidden": (6,), "n_epochs": 3, "batch_size": 20, "random_state": 0}


@parametrize_with_checks([DrLIM(**_SMALL), DrLIM(hidden=(), similar="labels", n_epochs=2, random_state=0)])
def test_scikit_learn_contract(estimator: DrLIM, check: Any) -> None:
    check(estimator)


def same(one: DrLIM, other: DrLIM) -> bool:
    """Bit for bit, what learning would go on with included."""
    arrays, header = one.to_state(training=True)
    other_arrays, other_header = other.to_state(training=True)
    return header == other_header and all(np.array_equal(arrays[name], other_arrays[name]) for name in arrays)


def plain_loss(points: np.ndarray, similar: np.ndarray, apart: np.ndarray, margin: float, repulsion: float) -> float:
    """The definition, pair by pair."""
    near = [0.5 * float(np.sum((points[i] - points[j]) ** 2)) for i, j in similar]
    n = len(points)
    far = [
        0.5 * max(0.0, margin - float(np.linalg.norm(points[i] - points[j]))) ** 2
        for i in range(n)
        for j in range(i)
        if apart[i, j]
    ]
    return float(np.mean(near) if near else 0.0) + repulsion * float(np.mean(far) if far else 0.0)


@pytest.mark.parametrize("n_components", [1, 2, 7])
def test_the_loss_and_its_gradient(rng: np.random.Generator, n_components: int) -> None:
    points = rng.standard_normal((12, n_components))
    similar = np.array([[0, 1], [2, 3], [0, 4]])  # a point in two pairs
    apart = rng.random((12, 12)) < 0.5
    apart = (apart | apart.T) & ~np.eye(12, dtype=bool)
    loss, gradient = contrastive_loss(points, similar, apart, margin=1.5, repulsion=0.7)
    assert loss == pytest.approx(plain_loss(points, similar, apart, 1.5, 0.7))
    for i in range(12):
        for k in range(n_components):
            moved = [points.copy(), points.copy()]
            moved[0][i, k] += 1e-6
            moved[1][i, k] -= 1e-6
            above, below = (plain_loss(each, similar, apart, 1.5, 0.7) for each in moved)
            assert gradient[i, k] == pytest.approx((above - below) / 2e-6, rel=1e-5, abs=1e-7)


def test_points_that_coincide_and_empty_sets_give_finite_gradients() -> None:
    points, none = np.zeros((4, 2)), np.empty((0, 2), np.int64)
    apart = ~np.eye(4, dtype=bool)
    loss, gradient = contrastive_loss(points, none, apart, margin=2.0, repulsion=1.0)
    assert loss == 2.0
    np.testing.assert_array_equal(gradient, 0)
    assert contrastive_loss(points, none, np.zeros((4, 4), bool), margin=1.0, repulsion=1.0)[0] == 0


def test_gradients_through_the_network_are_finite_differences(rng: np.random.Generator) -> None:
    rows = rng.standard_normal((30, 48))
    learner = DrLIM(
        stages=((3, 3, 3, 2, 2),), image_shape=(1, 6, 8), hidden=(5,), n_epochs=1, margin=3.0, random_state=0
    ).fit(rows)
    similar, apart = np.array([[0, 1], [2, 3]]), ~np.eye(30, dtype=bool)
    for i, j in similar:
        apart[i, j] = apart[j, i] = False
    network, scaled = learner.network_, learner._scaled(rows)

    def loss() -> tuple[float, np.ndarray]:
        return contrastive_loss(network.outputs(scaled), similar, apart, margin=3.0, repulsion=1.0)

    found = network.gradients(network.forward(scaled), loss()[1])
    for name, parameter in network.parameters.items():
        flat = parameter.reshape(-1)
        for place in rng.integers(flat.size, size=5):
            kept, values = flat[place], []
            for step in (1e-6, -1e-6):
                flat[place] = kept + step
                values.append(loss()[0])
            flat[place] = kept
            assert found[name].reshape(-1)[place] == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4, abs=1e-8)


def test_versions_of_neighbors_are_similar(rng: np.random.Generator) -> None:
    groups = np.array([0, 1, 2, 3, 0, 1, 2, 3, 0])
    relation = Relation(groups, np.array([[0, 1]]))
    rows = np.arange(9)
    similar = ~relation.apart(rows)
    for i in rows:
        for j in rows:
            pair = {int(groups[i]), int(groups[j])}
            assert similar[i, j] == (len(pair) == 1 or pair == {0, 1})
    seen: dict[int, set[int]] = {int(row): set() for row in rows}
    for _ in range(200):
        drawn = relation.drawn(rows, rng)
        np.testing.assert_array_equal(drawn[:9], rows)
        for one, other in zip(rows, drawn[9:], strict=True):
            seen[int(one)].add(int(other))
    for row, partners in seen.items():
        assert partners == {int(other) for other in np.flatnonzero(similar[row]) if other != row}


def test_dissimilar_pairs_alone_are_pushed_apart(rng: np.random.Generator) -> None:
    relation = Relation(np.arange(6), np.array([[0, 1]]), np.array([[2, 3]]))
    drawn = relation.drawn(np.arange(6), rng)
    np.testing.assert_array_equal(drawn[6:], [1, 0, 2, 3, 4, 5, 0, 1, 3, 2, 4, 5])
    apart = relation.apart(np.arange(6))
    assert {tuple(pair) for pair in np.argwhere(apart).tolist()} == {(2, 3), (3, 2)}


def test_a_circle_in_twenty_dimensions_is_unrolled(rng: np.random.Generator) -> None:
    angles = rng.uniform(0, 2 * np.pi, 400)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ rng.standard_normal((2, 20))
    learner = DrLIM(hidden=(30,), n_epochs=30, batch_size=50, random_state=0).fit(circle)
    plane = learner.transform(circle)
    plane -= plane.mean(axis=0)
    turned = np.unwrap(np.arctan2(*plane.T)[np.argsort(angles)])
    assert abs(abs(turned[-1] - turned[0]) - 2 * np.pi) < 0.5  # once around
    assert learner.history_[-1] < 0.7 * learner.history_[0]


def test_labels_make_clusters_that_new_samples_fall_into(rng: np.random.Generator) -> None:
    labels = rng.integers(3, size=600)
    rows = rng.standard_normal((600, 10)).astype(np.float32)
    rows[:, 0] += 4 * labels
    learner = DrLIM(hidden=(20,), similar="labels", batch_size=50, learning_rate=1e-2, random_state=0)
    plane = learner.fit(rows[:400], labels[:400]).transform(rows)
    centers = np.stack([plane[:400][labels[:400] == label].mean(axis=0) for label in range(3)])
    found = np.square(plane[400:, np.newaxis] - centers).sum(axis=2).argmin(axis=1)
    assert np.mean(found == labels[400:]) > 0.9
    names = np.array(["a", "b", "c"])[labels]
    again = clone(learner).fit(rows[:400], names[:400])
    np.testing.assert_array_equal(again.transform(rows), plane)


def test_versions_make_the_mapping_ignore_what_tells_them_apart(rng: np.random.Generator) -> None:
    things = rng.standard_normal((150, 6)).astype(np.float32)
    rows = np.concatenate([np.hstack([things, np.full((150, 1), 3 * k, np.float32)]) for k in (-1, 0, 1)])
    options: dict[str, Any] = {"hidden": (30,), "n_epochs": 25, "batch_size": 50, "random_state": 0}

    def share(learner: DrLIM) -> float:
        plane = learner.transform(rows).reshape(3, 150, 2)
        return float(plane.mean(axis=1).var(axis=0).sum() / plane.reshape(-1, 2).var(axis=0).sum())

    blind = DrLIM(**options).fit(rows, versions=np.tile(np.arange(150), 3))
    assert share(blind) < 0.02 < 0.2 < share(DrLIM(**options).fit(rows))


def test_a_fit_killed_at_random_batches_ends_with_the_same_bits(rng: np.random.Generator, tmp_path: Path) -> None:
    rows = rng.random((300, 48)).astype(np.float32)
    options: dict[str, Any] = {
        "hidden": (8,), "stages": ((3, 3, 3, 2, 2),), "image_shape": (1, 6, 8), "n_epochs": 12, "batch_size": 30,
        "weight_decay": 0.01, "random_state": 3,
    }  # fmt: skip
    whole = DrLIM(**options).fit(rows)

    def learn(checkpoint: Checkpoint) -> DrLIM:
        return DrLIM(**options).fit(rows, checkpoint=checkpoint)

    pieces, resumes = learn_through_kills(learn, tmp_path / "run", lambda: int(rng.integers(0, 50)))
    assert resumes > 1
    assert same(whole, pieces)
    assert len(whole.history_) == 1


def test_state_survives_a_file_and_learning_goes_on_to_the_same_bits(rng: np.random.Generator, tmp_path: Path) -> None:
    rows = rng.random((100, 48)).astype(np.float32)
    learner = DrLIM(stages=((3, 3, 3, 2, 2),), image_shape=(1, 6, 8), hidden=(), batch_size=30, random_state=0)
    learner.partial_fit(rows)
    model_file.write(tmp_path / "a.safetensors", *learner.to_state(training=True), kind="drlim")
    loaded = DrLIM.from_state(*model_file.read(tmp_path / "a.safetensors", kind="drlim"))
    np.testing.assert_array_equal(loaded.transform(rows), learner.transform(rows))
    assert loaded.get_params() == learner.get_params()
    assert same(loaded.partial_fit(rows), learner.partial_fit(rows))
    light = DrLIM.from_state(*learner.to_state())
    np.testing.assert_array_equal(light.transform(rows), learner.transform(rows))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(learner)).transform(rows), learner.transform(rows))


def test_a_memory_map_teaches_the_same(rng: np.random.Generator, tmp_path: Path) -> None:
    rows = rng.random((120, 10)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    assert same(DrLIM(**_SMALL).fit(rows), DrLIM(**_SMALL).fit(np.load(tmp_path / "rows.npy", mmap_mode="r")))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_in_is_dtype_out_and_the_scale_makes_no_difference(rng: np.random.Generator, dtype: type) -> None:
    rows: np.ndarray = rng.standard_normal((60, 10)).astype(dtype)
    learner = DrLIM(**_SMALL).fit(rows)
    assert learner.transform(rows).dtype == learner.weights_[0].dtype == dtype
    assert learner.get_feature_names_out()[-1] == "drlim1"
    shifted = DrLIM(**_SMALL).fit(1e3 * rows + 50)
    np.testing.assert_allclose(shifted.transform(1e3 * rows + 50), learner.transform(rows), atol=1e-2)


@pytest.mark.parametrize(
    ("options", "given", "message"),
    [
        ({"hidden": (3, 0)}, {}, "hidden is .* integers, each at least 1"),
        ({"stages": ((3, 3),)}, {}, "stages is .* a tuple of stages"),
        ({"stages": "conv"}, {}, "stages is .* a tuple of stages"),
        ({"stages": ((3, 3, 3, 1, 1),)}, {}, "give image_shape"),
        ({"stages": ((3, 3, 3, 1, 1),), "image_shape": (1, 2, 3)}, {}, "6 numbers, but n_features = 4"),
        ({"stages": ((3, 3, 3, 1, 1),), "image_shape": (1, 2, 2)}, {}, "smaller ones, or fewer stages"),
        ({"margin": 0}, {}, "margin is 0"),
        ({"similar": "labels"}, {}, r"requires y to be passed.* fit\(X, y\)"),
        ({"similar": "labels"}, {"y": np.full(10, np.nan)}, "labels hold NaN"),
        ({"similar": "labels"}, {"y": np.zeros(3)}, r"labels are one per sample, of shape \(10,\)"),
        ({}, {"pairs": [[0, 10]]}, "pairs go from row 0 to 10, but there are 10 rows"),
        ({}, {"pairs": [[0, 1, 2]]}, r"integers of shape \(n_pairs, 2\)"),
        ({}, {"pairs": [[0.5, 1.0]]}, r"integers of shape \(n_pairs, 2\)"),
        ({}, {"pairs": [[0, 1], [2]]}, r"integers of shape \(n_pairs, 2\)"),
        ({}, {"dissimilar": [[-1, 1]]}, "dissimilar pairs go from row -1"),
        ({}, {"versions": [1, 2]}, "versions are one per sample"),
    ],
)
def test_wrong_use_is_told(rng: np.random.Generator, options: dict[str, Any], given: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        DrLIM(**options).fit(rng.random((10, 4)), **given)


def test_broken_data_are_told(rng: np.random.Generator) -> None:
    rows = rng.random((40, 4))
    learner = DrLIM(**_SMALL).fit(rows)
    with pytest.raises(ValueError, match="4 features"):
        learner.transform(rows[:, :3])
    with pytest.raises(UsageError, match="at least 2 samples"):
        learner.fit(rows[:1])
    rows[7, 1] = np.nan
    with pytest.raises(UsageError, match="first in sample 7"):
        learner.fit(rows)
    steep = DrLIM(hidden=(4,), activation="relu", learning_rate=1e30, n_epochs=9, random_state=0)
    with pytest.raises(UsageError, match=r"diverged .* lower learning_rate \(now 1e\+30\)"):
        steep.fit(rng.random((400, 4), np.float32))


@pytest.mark.parametrize("given", [{}, {"pairs": np.empty((0, 2), int)}, {"versions": np.zeros(30)}])
def test_no_similar_or_no_dissimilar_pairs_still_fit(rng: np.random.Generator, given: Any) -> None:
    rows = np.zeros((30, 4)) if not given else rng.random((30, 4))
    assert np.isfinite(DrLIM(**_SMALL).fit(rows, **given).transform(rows)).all()
