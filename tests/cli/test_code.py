"""`striate code`: agreement with Python, streaming formats, and input that is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import sparse

from striate.coding import SparseMaps, certify, certify_convolutional, infer
from striate.coding.code_file import write_codes
from striate.images import local_contrast_normalization, read_image
from tests.cli.command import striate


@pytest.fixture
def signals(tmp_path: Path, rng: np.random.Generator) -> Path:
    np.save(tmp_path / "signals.npy", rng.laplace(size=(600, 20)).astype(np.float32))
    return tmp_path / "signals.npy"


def test_learns_a_dictionary_and_codes(capsys: pytest.CaptureFixture[str], signals: Path, tmp_path: Path) -> None:
    out = tmp_path / "codes.npz"
    done = striate(capsys, "code", signals, "--n", 32, "--active", 0.1, "--batches", 20, "--out", out, "--json", "-q")
    assert done.code == 0, done.err
    codes, units = sparse.load_npz(out), np.load(done.json["dictionary"])
    values = np.load(signals)
    np.testing.assert_array_equal(codes.toarray(), infer(values, units, done.json["sparsity"]))
    assert done.json["active_fraction"] == pytest.approx(codes.nnz / (600 * 32))
    assert done.json["active_fraction"] == pytest.approx(0.1, rel=0.3)
    proof = certify(values, codes, units, done.json["sparsity"])
    assert done.json["objective"] == pytest.approx(proof.objective.mean())
    assert done.json["largest_relative_gap"] == pytest.approx(proof.relative_gap.max())


def test_takes_a_dictionary_and_writes_dense_codes(
    capsys: pytest.CaptureFixture[str], signals: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    units = rng.standard_normal((30, 20))
    np.savez(tmp_path / "units.npz", X=units)
    out = tmp_path / "codes.npy"
    options = ("--dictionary", tmp_path / "units.npz", "--sparsity", 2, "--positive", "--out", out, "-q")
    done = striate(capsys, "code", signals, *options)
    assert done.code == 0, done.err
    assert "600 codes of 30 units" in done.out
    np.testing.assert_array_equal(np.load(out), infer(np.load(signals), units, 2.0, positive=True))
    np.testing.assert_array_equal(np.load(tmp_path / "codes.dictionary.npy"), units)


def test_codes_patches_of_images(capsys: pytest.CaptureFixture[str], tmp_path: Path, rng: np.random.Generator) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(rng.integers(0, 256, (40, 60), np.uint8)).save(folder / f"{number}.png")
    done = striate(
        capsys, "code", folder, "--n", 16, "--size", 6, "--patches", 500, "--batches", 5, "--out", tmp_path / "c.npz",
        "--json", "-q",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert sparse.load_npz(tmp_path / "c.npz").shape == (500, 16)


@pytest.mark.parametrize(
    ("name", "content", "options", "code", "message"),
    [
        ("none.npy", None, [], 2, "no such file"),
        ("empty.npy", b"", [], 1, "cannot be read"),
        ("text.npy", b"hello world", [], 1, "cannot be read"),
        ("cut.npy", "cut", [], 1, "cannot be read"),
        ("pickle.npy", np.array([{}]), [], 1, "cannot be read"),
        ("words.npy", np.array([["a", "b"]]), [], 2, "real numbers"),
        ("complex.npy", np.ones((3, 4), complex), [], 2, "real numbers"),
        ("flat.npy", np.ones(4), [], 2, "one per row"),
        ("nothing.npy", np.ones((0, 4)), [], 2, "at least one"),
        ("nan.npy", np.full((60, 4), np.nan), [], 2, "nan.npy: signals hold NaN or infinity, first in sample 0"),
        ("inf.npy", np.vstack([np.eye(4), np.full(4, np.inf)]), [], 2, "inf.npy: signals hold NaN or infinity, first"),
        ("fine.npy", np.ones((3, 4)), ["--n", "99999999999999999999"], 2, "--n"),
        ("fine.npy", np.ones((3, 4)), ["--threads", "99999999999999999999"], 2, "--threads"),
        ("two.npz", {"a": np.ones((3, 4)), "b": np.ones((3, 4))}, [], 2, "--key"),
        ("fine.npy", np.ones((3, 4)), ["--out", "codes.txt"], 2, ".npz (sparse) or .npy"),
        ("fine.npy", np.ones((3, 4)), ["--dictionary", "none.npy"], 2, "no such file"),
        ("fine.npy", np.ones((3, 4)), ["--sparsity", "0"], 2, "above 0"),
        ("fine.npy", np.ones((3, 4)), ["--active", "2"], 2, "above 0 and below 1"),
        ("fine.npy", np.ones((3, 4)), ["--out", "nowhere/codes.npz"], 2, "nowhere"),
    ],
)
def test_wrong_input_is_one_sentence(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: object,
    options: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if isinstance(content, bytes):
        Path(name).write_bytes(content)
    elif isinstance(content, dict):
        np.savez(name, **content)
    elif isinstance(content, str):
        np.save(name, np.ones((100, 4)))
        Path(name).write_bytes(Path(name).read_bytes()[:300])
    elif content is not None:
        np.save(name, content)  # type: ignore[arg-type]
    before = sorted(path.name for path in tmp_path.iterdir())
    done = striate(capsys, "code", name, *options, "-q")
    assert done.code == code, done.err
    assert message in done.err.replace("\n", " ")
    assert "Traceback" not in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_blocks_are_written_as_one_matrix(tmp_path: Path, rng: np.random.Generator) -> None:
    whole = sparse.random_array((50, 9), density=0.3, rng=rng, format="csr", dtype=np.float64)
    blocks = (whole[start : start + 7] for start in range(0, 50, 7))
    write_codes(tmp_path / "codes.npz", blocks, (50, 9), np.dtype(np.float64))
    read = sparse.load_npz(tmp_path / "codes.npz")
    assert isinstance(read, sparse.csr_array)
    np.testing.assert_array_equal(read.toarray(), whole.toarray())
    write_codes(tmp_path / "codes.npy", [whole[:20], whole[20:]], (50, 9), np.dtype(np.float64))
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), whole.toarray())
    write_codes(tmp_path / "none.npz", [], (0, 9), np.dtype(np.float32))
    assert sparse.load_npz(tmp_path / "none.npz").shape == (0, 9)


@pytest.mark.parametrize("encoder", ["linear", "shrinkage"])
def test_predicts_codes(capsys: pytest.CaptureFixture[str], signals: Path, tmp_path: Path, encoder: str) -> None:
    out = tmp_path / "codes.npz"
    options = ("--n", 32, "--active", 0.1, "--batches", 20, "--encoder", encoder, "--out", out, "--json", "-q")
    done = striate(capsys, "code", signals, *options)
    assert done.code == 0, done.err
    codes, units, values = sparse.load_npz(out), np.load(done.json["dictionary"]), np.load(signals)
    optimal = certify(values, infer(values, units, done.json["sparsity"]), units, done.json["sparsity"])
    assert optimal.objective.mean() < done.json["objective"] < 2 * optimal.objective.mean()
    assert codes.shape == (600, 32)
    done = striate(capsys, "code", signals, "--encoder", "tanh", "--out", out, "-q")
    assert (done.code, "linear" in done.err) == (2, True)
    done = striate(capsys, "code", signals, "--encoder", encoder, "--positive", "--out", out, "-q")
    assert (done.code, "both signs" in done.err) == (2, True)


def test_code_maps_of_images(capsys: pytest.CaptureFixture[str], tmp_path: Path, rng: np.random.Generator) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number, size in enumerate([(20, 24), (12, 30)]):
        Image.fromarray(rng.integers(0, 256, size, np.uint8)).save(folder / f"{number}.png")
    filters = rng.standard_normal((4, 5, 5))
    np.save(tmp_path / "filters.npy", filters)
    options = ("--convolutional", "--dictionary", tmp_path / "filters.npy", "--out", tmp_path / "maps.npz", "-q")
    done = striate(capsys, "code", folder, *options, "--json")
    assert done.code == 0, done.err
    with np.load(tmp_path / "maps.npz") as archive:
        found = dict(archive)
    assert found["shapes"].tolist() == [[4, 16, 20], [4, 8, 26]]
    objectives = []
    for number, name in enumerate(found["names"]):
        image = local_contrast_normalization(read_image(str(name), color=False))
        rows = found["coordinates"][:, 0] == number
        maps = SparseMaps(tuple(found["shapes"][number]), found["coordinates"][rows, 1:], found["values"][rows])
        proof = certify_convolutional(image, maps, filters, found["sparsity"][number])
        assert proof.relative_gap[0] <= 1e-4
        objectives.append(proof.objective[0])
    assert done.json["objective"] == pytest.approx(np.mean(objectives))
    assert done.json["active_fraction"] == pytest.approx(len(found["values"]) / np.prod(found["shapes"], axis=1).sum())
    assert "code maps of 2 images" in striate(capsys, "code", folder, *options, "--sparsity", 1, "--positive").out


def test_filters_of_code_maps_are_learned(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, rng: np.random.Generator
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    stripes = [np.tile(np.sin(np.arange(40) / 2 + phase), (30, 1)) for phase in rng.uniform(0, 6, 4)]
    for number, image in enumerate(stripes):
        Image.fromarray((127 + 100 * image).astype(np.uint8)).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"no image")
    maps = tmp_path / "maps.npz"
    options = ("--convolutional", "--n", 3, "--size", 7, "--batches", 5, "--out", maps, "-q", "--json")
    done = striate(capsys, "code", folder, *options)
    assert done.code == 0, done.err
    filters = np.load(tmp_path / "maps.dictionary.npy")
    assert filters.shape == (3, 1, 7, 7)
    np.testing.assert_allclose(np.sqrt(np.square(filters).sum(axis=(1, 2, 3))), 1, rtol=1e-5)
    assert (done.json["n_images"], len(set(done.json["sparsity"]))) == (4, 1)
    first = maps.read_bytes()
    again = striate(capsys, "code", folder, *options, "--dictionary", tmp_path / "maps.dictionary.npy", "--sparsity",
                    repr(done.json["sparsity"][0]))  # fmt: skip
    assert again.code == 0, again.err
    assert again.json["objective"] == done.json["objective"]
    assert maps.read_bytes() == first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "11"], "11×11 pixels"),
        (["--active", "0.1"], "--active is for codes of patches"),
        (["--dictionary", "none.npy"], "no such file"),
        (["--dictionary", "large.npy"], "smaller than the filters"),
        (["--dictionary", "filters.npy", "--encoder", "lista"], "--encoder is for codes of patches"),
        (["--dictionary", "filters.npy", "--out", "codes.npy"], "ends in .npz"),
        (["--dictionary", "filters.npy", "--sparsity", "0"], "above 0"),
    ],
)
def test_wrong_input_of_code_maps(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.arange(100, dtype=np.uint8).reshape(10, 10)).save("image.png")
    np.save("filters.npy", np.ones((2, 3, 3)))
    np.save("large.npy", np.ones((2, 30, 3)))
    done = striate(capsys, "code", "image.png", "--convolutional", *options, "-q")
    assert done.code == 2
    assert message in done.err.replace("\n", " ")
    assert not Path("codes.npz").exists()
