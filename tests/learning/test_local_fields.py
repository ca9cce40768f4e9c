"""Local fields: an explicit dictionary, derivatives, majorization, convolution as a special case, resume, refusals."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate import model_file, threads
from striate.checkpoint import Checkpoint
from striate.coding.convolutional.windows import correlate, coverage, products_with_windows, synthesize
from striate.errors import UsageError
from striate.images import ImageFolder
from striate.learning import LocalFields
from striate.learning._local_codes import LocalCodes, Penalty
from striate.learning._local_encoder import LocalEncoder, predicted
from striate.learning._local_learning import CodedBatch, best_fields
from striate.learning._local_sheet import LocalSheet, field_window, images_of, pool_axis

SMALL: dict[str, Any] = {
    "period": (6, 5), "kernel_size": (4, 3), "crop": 9, "sparsity": 0.3, "max_batches": 4, "batch_size": 3,
    "random_state": 0,
}  # fmt: skip
SHEETS = [((1, 9, 10), (3, 3), (7, 8)), ((2, 11, 12), (3, 4), (3, 2)), ((1, 12, 9), (4, 3), (1, 1))]


def learner(**options: Any) -> LocalFields:
    return LocalFields(**(SMALL | options))


def images(n: int = 8, size: tuple[int, int] = (14, 12), n_channels: int = 1, dtype: Any = np.float32) -> np.ndarray:
    """Noise that is smooth along rows, with a mean."""
    noise = np.random.default_rng(7).standard_normal((n, n_channels, *size))
    return (noise + np.roll(noise, 1, axis=3) + 0.5).astype(dtype)


class Case:
    """A sheet, fields and images, and the matrix (n_units, n_numbers) of all fields at their places."""

    def __init__(self, shape: tuple[int, int, int], kernel: tuple[int, int], period: tuple[int, int], **options: Any):
        rng = np.random.default_rng(3)
        penalty = Penalty(**({"sparsity": 0.3, "sigma": 1.0, "stride": 1, "epsilon": 1e-3} | options))
        self.codes = LocalCodes(LocalSheet.of(shape, period, kernel), penalty, np.dtype(np.float64))
        self.sheet = self.codes.sheet
        n_rows, n_columns = self.sheet.n_rows, self.sheet.n_columns
        self.fields = rng.standard_normal((period[0] * period[1], shape[0], *kernel))
        self.images, self.maps = rng.standard_normal((5, *shape)), rng.standard_normal((5, n_rows, n_columns))
        matrix = np.zeros((n_rows, n_columns, *shape))
        for r in range(n_rows):
            for c in range(n_columns):
                field = self.fields[r % period[0] * period[1] + c % period[1]]
                matrix[r, c, :, r : r + kernel[0], c : c + kernel[1]] = field
        self.matrix = matrix.reshape(n_rows * n_columns, -1)
        self.weights = np.broadcast_to(coverage(*shape[1:], *kernel), shape).reshape(-1)
        self.packed, self.groups = self.codes.prepare(self.fields), self.codes.grouped(self.images)
        self.z = self.sheet.groups_of(self.maps)

    def energy(self, maps: np.ndarray) -> np.ndarray:
        """By the matrix, with a loop over the pools."""
        penalty, n_rows, n_columns = self.codes.penalty, self.sheet.n_rows, self.sheet.n_columns
        error = self.images.reshape(len(maps), -1) - maps.reshape(len(maps), -1) @ self.matrix
        total = 0.5 * np.square(error) @ self.weights
        reach = int(np.ceil(3 * penalty.sigma))
        offsets = np.arange(-reach, reach + 1)
        taps = np.exp(-0.5 * np.square(offsets / penalty.sigma)) if reach else np.ones(1)
        taps = taps / taps.sum()
        for r in range(0, n_rows, penalty.stride):
            for c in range(0, n_columns, penalty.stride):
                squares = np.zeros(len(maps))
                for i, down in enumerate(offsets):
                    for j, right in enumerate(offsets):
                        if 0 <= r + down < n_rows and 0 <= c + right < n_columns:
                            squares += taps[i] * taps[j] * np.square(maps[:, r + down, c + right])
                total += penalty.sparsity * np.sqrt(squares + penalty.epsilon)
        return np.asarray(total)


@pytest.mark.kernels
@pytest.mark.parametrize(("shape", "kernel", "period"), SHEETS)
def test_products_and_sums_are_those_of_an_explicit_dictionary(shape: Any, kernel: Any, period: Any) -> None:
    case = Case(shape, kernel, period)
    n, codes, sheet = len(case.images), case.codes, case.sheet
    products = sheet.codes_of(codes.products(case.groups, case.packed), n)
    np.testing.assert_allclose(products.reshape(n, -1), case.images.reshape(n, -1) @ case.matrix.T, atol=1e-12)
    sums = images_of(codes.sums(case.z, case.packed), n)[:, :, : shape[1], : shape[2]]
    np.testing.assert_allclose(sums.reshape(n, -1), case.maps.reshape(n, -1) @ case.matrix, atol=1e-12)
    outer, expected = codes.outer(case.z, case.groups), np.zeros_like(case.fields)
    for r in range(sheet.n_rows):
        for c in range(sheet.n_columns):
            window = case.images[:, :, r : r + kernel[0], c : c + kernel[1]]
            expected[r % period[0] * period[1] + c % period[1]] += np.tensordot(case.maps[:, r, c], window, 1)
    np.testing.assert_allclose(outer, expected, atol=1e-12)
    single = LocalCodes(sheet, codes.penalty, np.dtype(np.float32))
    rough = single.products(single.grouped(case.images), single.prepare(case.fields))
    np.testing.assert_allclose(sheet.codes_of(rough, n), products, atol=1e-4)
    vectors = codes.first_vectors(np.random.default_rng(0))
    gram = (case.matrix * case.weights) @ case.matrix.T
    assert codes.bound(case.packed, vectors, 300)[1] == pytest.approx(np.linalg.eigvalsh(gram)[-1], rel=1e-4)


def test_a_period_of_one_is_a_convolution() -> None:
    case = Case((2, 9, 8), (3, 4), (1, 1))
    n, codes, sheet = len(case.images), case.codes, case.sheet
    maps = case.maps[:, np.newaxis]
    expected = correlate(case.images, case.fields)[:, 0]
    np.testing.assert_allclose(sheet.codes_of(codes.products(case.groups, case.packed), n), expected, atol=1e-12)
    sums = images_of(codes.sums(case.z, case.packed), n)[:, :, :9, :8]
    np.testing.assert_allclose(sums, synthesize(maps, case.fields), atol=1e-12)
    outer = products_with_windows(maps, case.images, case.fields.shape)
    np.testing.assert_allclose(codes.outer(case.z, case.groups), outer, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"sigma": 0.0}, {"sigma": 0.7, "stride": 2}, {"sigma": 1.5, "stride": 3}])
@pytest.mark.parametrize(("shape", "kernel", "period"), SHEETS[:2])
def test_energy_and_its_derivatives(shape: Any, kernel: Any, period: Any, options: dict[str, Any]) -> None:
    case = Case(shape, kernel, period, **options)
    n = len(case.images)
    np.testing.assert_allclose(case.codes.energy(case.groups, case.z, case.packed)[:n], case.energy(case.maps))
    gradient = case.sheet.codes_of(case.codes.gradient(case.groups, case.z, case.packed), n)
    for place in [(0, 0), (1, 1), (case.sheet.n_rows - 1, case.sheet.n_columns - 1), (3, 2)]:
        step = np.zeros_like(case.maps)
        step[:, place[0], place[1]] = 1e-6
        slope = (case.energy(case.maps + step) - case.energy(case.maps - step)) / 2e-6
        np.testing.assert_allclose(gradient[:, place[0], place[1]], slope, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("shape", "kernel", "period"), SHEETS)
def test_majorization_never_raises_the_energy_and_ends_at_the_minimum(shape: Any, kernel: Any, period: Any) -> None:
    from scipy.optimize import minimize

    case = Case(shape, kernel, period)
    codes, n = case.codes, len(case.images)
    _, bound = codes.bound(case.packed, codes.first_vectors(np.random.default_rng(0)), 300)
    z, last = case.z, np.full(n, np.inf)
    for _ in range(30):  # one step each, so that there is no momentum
        energies = codes.energy(case.groups, z, case.packed)[:n]
        assert (energies <= last + 1e-12).all()
        z, last = codes.minimize(case.groups, case.packed, z, bound, 1), energies
    found = codes.minimize(case.groups, case.packed, np.zeros_like(z), bound, 20_000, 1e-9)
    norms = np.sqrt(np.square(codes.gradient(case.groups, found, case.packed)).sum(axis=(0, 1, 2)))[:n]
    assert (norms < 1e-8 * np.sqrt(np.square(case.images.reshape(n, -1) @ case.matrix.T).sum(axis=1))).all()

    def of_first(flat: np.ndarray) -> tuple[float, np.ndarray]:
        z = case.sheet.groups_of(np.resize(flat, case.maps.shape))
        slopes = case.sheet.codes_of(codes.gradient(case.groups, z, case.packed), n)
        return float(codes.energy(case.groups, z, case.packed)[0]), slopes[0].reshape(-1)

    slow = minimize(of_first, np.zeros(case.maps[0].size), jac=True, method="L-BFGS-B", options={"maxiter": 2000})
    assert codes.energy(case.groups, found, case.packed)[0] <= slow.fun + 1e-9
    np.testing.assert_allclose(case.sheet.codes_of(found, n)[0].reshape(-1), slow.x, atol=2e-3)


def coded(case: Case) -> tuple[CodedBatch, dict[str, np.ndarray]]:
    rng = np.random.default_rng(5)
    arrays = {"filters": 0.2 * case.fields, "bias": rng.standard_normal(len(case.fields)),
              "gain": rng.uniform(0.5, 2, len(case.fields))}  # fmt: skip
    guess, active = predicted(case.codes, case.groups, arrays)
    return CodedBatch(case.codes, 5, case.groups, case.packed, guess, active, case.z), arrays


@pytest.mark.parametrize(("shape", "kernel", "period"), SHEETS)
def test_derivatives_of_encoder_and_fields(shape: Any, kernel: Any, period: Any) -> None:
    case = Case(shape, kernel, period)
    batch, arrays = coded(case)
    found = LocalEncoder(arrays, 0.1).gradients(batch)

    def loss(changed: dict[str, np.ndarray]) -> float:
        guess = case.sheet.codes_of(predicted(case.codes, case.groups, changed)[0], 5)
        return 0.5 * float(np.square(guess - case.maps).sum()) / 5

    for name, values in arrays.items():
        for place in ([0] * values.ndim, [-1] * values.ndim):
            step = np.zeros_like(values)
            step[tuple(place)] = 1e-6
            slope = (loss(arrays | {name: values + step}) - loss(arrays | {name: values - step})) / 2e-6
            assert found[name][tuple(place)] == pytest.approx(slope, rel=1e-5, abs=1e-8)
    descent = case.codes.outer(case.z, case.codes.residual(case.groups, case.z, case.packed))
    step = np.zeros_like(case.fields)
    step[-1, 0, 1, 2] = 1e-6
    errors = [case.codes.energy(case.groups, case.z, case.codes.prepare(case.fields + sign * step)) for sign in (1, -1)]
    assert descent[-1, 0, 1, 2] == pytest.approx(-float((errors[0] - errors[1])[:5].sum()) / 2e-6, rel=1e-5)


def test_a_small_step_towards_the_best_fields_lowers_the_error() -> None:
    case = Case((1, 9, 10), (3, 3), (7, 8))
    batch, _ = coded(case)
    fields = case.fields / np.sqrt(np.square(case.fields).sum(axis=(1, 2, 3), keepdims=True))
    batch = batch._replace(packed=case.codes.prepare(fields))
    before = batch.error(case.z)
    new = best_fields(batch, fields, np.ones(56), np.ones((3, 3)), 1e-3)
    np.testing.assert_allclose(np.square(new).sum(axis=(1, 2, 3)), 1)
    assert batch._replace(packed=case.codes.prepare(new)).error(case.z) < before
    cut = best_fields(batch, fields, np.ones(56), np.diag([0.0, 1.0, 1.0]), 1.0)
    assert not cut[:, :, 0].any()


def test_windows_of_fields_and_pools() -> None:
    window = field_window((15, 15), 0.5)
    np.testing.assert_array_equal(window, window.T)
    np.testing.assert_array_equal(window, window[::-1])
    assert window[7, 7] == 1
    assert window[0, 0] == 0
    assert 0 < window[7, 0] < 0.2
    assert set(np.unique(field_window((5, 5), 1.0))) <= {0.0, 1.0}
    axis = pool_axis(20, 20, 1.5, 2)
    assert axis.shape == (10, 20)
    np.testing.assert_allclose(axis[5].sum(), 1)
    np.testing.assert_array_equal(pool_axis(3, 4, 0.0, 1), np.eye(3, 4))


def same(one: LocalFields, other: LocalFields) -> bool:
    """Bit for bit, what learning would go on with included."""
    arrays, header = one.to_state(training=True)
    other_arrays, other_header = other.to_state(training=True)
    return header == other_header and all(np.array_equal(arrays[name], other_arrays[name]) for name in arrays)


def test_learning_lowers_the_energy_with_fields_of_unit_norm() -> None:
    given = images(40, (20, 20))
    found = learner(max_batches=200, batch_size=8, warm_up=20).fit(given)
    assert len(found.history_) == 2
    first = learner(max_batches=1, batch_size=8).fit(given)
    assert found.score(given[:8]) > first.score(given[:8])
    np.testing.assert_allclose(np.square(found.components_).sum(axis=(1, 2, 3)), 1, rtol=1e-5)
    assert found.sheet_shape_ == (6, 5)
    assert found.components_.dtype == found.encoder_.dtype == found.transform(given).dtype == np.float32
    assert all(values.dtype == np.float32 for values in found.to_state(training=True)[0].values())


def test_a_killed_fit_continues_with_the_same_bits(tmp_path: Path) -> None:
    given = images(24)
    whole = learner(max_batches=8).fit(given)

    def kill(one: LocalFields) -> None:
        if one.n_batches_ == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learner(max_batches=8).fit(given, checkpoint=Checkpoint(tmp_path, {"a": 1}, interval=0), callback=kill)
    again = learner(max_batches=8).fit(given, checkpoint=Checkpoint(tmp_path, {"a": 1}, interval=0))
    assert same(whole, again)
    assert whole.history_


def test_the_state_continues_with_the_same_bits(tmp_path: Path) -> None:
    given = images()
    one = learner().fit(given)
    model_file.write(tmp_path / "one.safetensors", *one.to_state(training=True), kind="local-fields")
    again = LocalFields.from_state(*model_file.read(tmp_path / "one.safetensors", kind="local-fields"))
    assert (again.period, again.kernel_size) == ((6, 5), (4, 3))
    np.testing.assert_array_equal(one.transform(given), again.transform(given))
    assert same(one.partial_fit(given), again.partial_fit(given))
    lean = LocalFields.from_state(*one.to_state())
    np.testing.assert_array_equal(one.transform(given), lean.transform(given))
    lean.partial_fit(given)


def test_any_number_of_threads_gives_the_same_bits() -> None:
    given, found = images(70), []
    for n in (1, 2):
        with threads.limit(n):
            found.append(learner(batch_size=70).fit(given))
    assert same(*found)


def test_maps_of_simple_and_complex_cells() -> None:
    given = images(n_channels=2, dtype=np.float64)
    found = learner(pool_stride=2).fit(given)
    simple, complex_cells = found.transform(given, simple=True), found.transform(given)
    assert simple.shape == (8, 1, 11, 10)
    assert complex_cells.shape == (8, 1, 6, 5)
    window = ((given[:, :, 7:11, 6:9] - found.mean_[:, None, None]) / found.scale_).reshape(8, -1)
    unit = 7 % 6 * 5 + 6 % 5
    expected = found.gain_[unit] * np.tanh(window @ found.encoder_[unit].reshape(-1) + found.encoder_bias_[unit])
    np.testing.assert_allclose(simple[:, 0, 7, 6], expected, atol=1e-10)
    weights = np.outer(pool_axis(11, 11, 1.5, 2)[3], pool_axis(10, 10, 1.5, 2)[2])
    pools = np.sqrt(np.einsum("nrc,rc->n", np.square(simple[:, 0]), weights) + 1e-3)
    np.testing.assert_allclose(complex_cells[:, 0, 3, 2], pools)
    optimal = found.infer(given[:2], tolerance=1e-7)
    assert optimal.shape == (2, 1, 11, 10)
    assert found.infer(given[:2], simple=False).shape == (2, 1, 6, 5)
    rebuilt = found.inverse_transform(optimal)
    assert rebuilt.shape == (2, 2, 14, 12)
    np.testing.assert_allclose(found.inverse_transform(list(optimal))[1], rebuilt[1])
    weights = coverage(14, 12, 4, 3)
    errors = [float((weights * np.square(given[:2] - image)).sum()) for image in (rebuilt, found.mean_[:, None, None])]
    assert errors[0] < errors[1]


def test_lists_of_sizes_and_folders(tmp_path: Path, rng: np.random.Generator) -> None:
    given = [rng.standard_normal((9, 9)), rng.standard_normal((30, 10)), rng.standard_normal((12, 11))]
    found = learner(batch_size=6).fit(given)
    assert [one.shape for one in found.transform(given)] == [(1, 6, 7), (1, 27, 8), (1, 9, 9)]
    for number in range(3):
        Image.fromarray(rng.integers(0, 256, (20, 24), np.uint8)).save(tmp_path / f"{number}.png")
    assert len(learner().fit(ImageFolder(tmp_path)).transform(ImageFolder(tmp_path))) == 3


def test_memory_is_bounded_by_the_batch() -> None:
    class Many:
        """A thousand images that would take 120 MB."""

        def __len__(self) -> int:
            return 1000

        def __getitem__(self, index: int) -> np.ndarray:
            return np.random.default_rng(index).standard_normal((1, 175, 175)).astype(np.float32)

    options: dict[str, Any] = {"period": 16, "kernel_size": 5, "crop": None, "max_batches": 3}
    learner(**options).fit(images(size=(20, 20)))  # compiles
    tracemalloc.start()
    learner(**options).fit(Many())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (np.full((3, 1, 9, 9), 2.0), {}, "the images are constant"),
        (images() * np.float32(1e30), {}, "bring them to a scale of 1"),
        (images(size=(8, 9)), {}, "smaller than crops of 9×9"),
        (images(), {"crop": 8}, "raise crop"),
        (images(), {"sparsity": -1.0}, "sparsity"),
        (images(), {"epsilon": 0.0}, "epsilon"),
        (images(), {"plateau": 2.0}, "plateau"),
        (images(), {"period": (3, 0)}, "period"),
        (images()[0], {}, "n_images, channels, height, width"),
        ([], {}, "no images"),
    ],
)
def test_what_is_refused(given: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        learner(**options).fit(given)


def test_wrong_codes_are_refused() -> None:
    with pytest.raises(UsageError, match="n_rows, n_columns"):
        learner().fit(images()).inverse_transform(np.zeros((3, 2, 4, 4)))


def test_divergence_is_said() -> None:
    with pytest.raises(UsageError, match="learning has diverged"):
        learner(encoder_rate=1e38, max_batches=50).fit(images())


def test_fields_are_drawn() -> None:
    found = learner().fit(images())
    assert "30 filters of 4×3" in found._repr_html_()
    assert found.plot_components().axes
