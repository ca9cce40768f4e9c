"""Differentiable twins of the encoders, and their training by gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from torch.nn.functional import embedding, relu

from striate.coding.prepared_dictionary import PreparedDictionary, as_prepared
from striate.encoders._checks import as_weights
from striate.encoders._encoder import Encoder
from striate.encoders._relative_learner import FASTER, RelativeSteps
from striate.errors import UsageError
from striate.progress import Progress
from striate.randomness import RandomState, generator_from
from striate.samples import as_table, is_sparse, kernel_array
from striate.threads import threads_for_batch, torch_threads

__all__ = ["TorchLearner", "Twin", "train_encoder"]

_EVALUATIONS = 20  # on the held-out samples, during a training
_MOST_HELD_OUT = 1000  # more would hardly change the choice
_FEWEST = 50  # samples; with fewer, none are held out

Parameters = Mapping[str, torch.Tensor]


def _shrink(values: torch.Tensor, thresholds: torch.Tensor) -> torch.Tensor:
    return relu(values - thresholds) - relu(-values - thresholds)


def _tanh(encoder: Any, parameters: Parameters, signals: torch.Tensor) -> torch.Tensor:
    return torch.tanh(signals @ parameters["filters"].T + parameters["bias"]) * parameters["gain"]


def _linear(encoder: Any, parameters: Parameters, signals: torch.Tensor) -> torch.Tensor:
    return signals @ parameters["filters"].T + parameters["bias"]


def _shrinkage(encoder: Any, parameters: Parameters, signals: torch.Tensor) -> torch.Tensor:
    return _shrink(signals @ parameters["filters"].T, parameters["thresholds"])


def _smooth_shrinkage(encoder: Any, parameters: Parameters, signals: torch.Tensor) -> torch.Tensor:
    values, beta = signals @ parameters["filters"].T, parameters["beta"]
    scaled, corner = beta * values.abs(), beta * parameters["bias"]
    beyond = scaled - corner
    # As `SmoothShrinkageEncoder` computes it.
    rest = torch.log1p(-torch.exp(-beyond.abs()) * torch.expm1(-torch.minimum(scaled, corner)))
    return values.sign() * (relu(beyond) + rest) / beta


def _lista(encoder: Any, parameters: Parameters, signals: torch.Tensor) -> torch.Tensor:
    def at(name: str, step: int) -> torch.Tensor:
        return parameters[name][step] if encoder.untied else parameters[name]

    linear = signals @ at("filters", 0).T
    codes = _shrink(linear, at("thresholds", 0))
    for step in range(1, encoder.steps):
        if encoder.untied:
            linear = signals @ at("filters", step).T
        codes = _shrink(torch.addmm(linear, codes, at("inhibition", step - 1).T), at("thresholds", step))
    return codes


def _lcod(encoder: Any, parameters: Parameters, signals: torch.Tensor) -> torch.Tensor:
    thresholds, influence = parameters["thresholds"], parameters["inhibition"].T
    drive = signals @ parameters["filters"].T
    codes = torch.zeros_like(drive)
    for _ in range(encoder.steps):
        change = _shrink(drive, thresholds) - codes
        chosen = change.detach().abs().argmax(dim=1, keepdim=True)  # the choice of the unit has no derivative
        moved = change.gather(1, chosen)
        drive = drive + moved * embedding(chosen[:, 0], influence)
        codes = codes.scatter_add(1, chosen, moved)
    return _shrink(drive, thresholds) if encoder.final_shrinkage else codes


# By the kind of the encoder.
_FORWARD: dict[str, Callable[[Any, Parameters, torch.Tensor], torch.Tensor]] = {
    "tanh": _tanh,
    "linear": _linear,
    "shrinkage": _shrinkage,
    "smooth shrinkage": _smooth_shrinkage,
    "lista": _lista,
    "lcod": _lcod,
}


class Twin(torch.nn.Module):
    """An encoder as a torch module, with the same codes up to rounding, and gradients.

    Parameters that must be above 0 are kept as their logarithms, so that they stay positive, and steps
    are relative to their size.

    Parameters
    ----------
    encoder : Encoder
    device : str, default "cpu"

    Raises
    ------
    UsageError
        If there is no twin for this kind of encoder.
    """

    def __init__(self, encoder: Encoder, device: str = "cpu") -> None:
        super().__init__()
        if encoder.kind not in _FORWARD:
            raise UsageError(
                f"torch trains encoders of the kinds {', '.join(_FORWARD)}; {type(encoder).__name__} is of none of them"
            )
        self.encoder = encoder
        self._codes = _FORWARD[encoder.kind]
        self.raw = torch.nn.ParameterDict()
        for name, array in encoder.arrays().items():
            value = torch.tensor(array, device=device)  # a copy
            self.raw[name] = torch.nn.Parameter(value.log() if name in encoder.positive else value)

    def values(self) -> dict[str, torch.Tensor]:
        """The encoder's parameters, by name, as functions of what is learned."""
        return {name: raw.exp() if name in self.encoder.positive else raw for name, raw in self.raw.items()}

    def forward(self, signals: torch.Tensor) -> torch.Tensor:
        """Codes (n_samples, n_components) of signals (n_samples, n_features), of the encoder's dtype."""
        return self._codes(self.encoder, self.values(), signals)

    @torch.no_grad()
    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """A copy of the parameters as they are now."""
        return {name: value.detach().cpu().numpy().copy() for name, value in self.values().items()}


def train_encoder(
    encoder: Encoder,
    signals: Any,
    codes: Any,
    *,
    loss: Literal["codes", "energy"],
    components: ArrayLike | PreparedDictionary | None,
    sparsity: float | ArrayLike | None,
    batch_size: int,
    n_batches: int,
    learning_rate: float,
    held_out_fraction: float,
    keep_zeros: bool,
    device: str,
    random_state: RandomState,
    progress: Progress | None,
) -> dict[str, NDArray[Any]]:
    """Train an encoder and return its arrays; `TrainableEncoder.fit` describes the parameters."""
    twin = Twin(encoder, device)
    data = _Data(encoder, signals, codes if loss == "codes" else None, device)
    measure = _loss(encoder, loss, codes, components, sparsity, device)
    generator = generator_from(random_state)
    order = generator.permutation(data.n_samples)
    spared = data.n_samples >= _FEWEST
    n_held_out = min(_MOST_HELD_OUT, int(held_out_fraction * data.n_samples)) if spared else 0
    held_out = order[:n_held_out] if n_held_out else order[:_MOST_HELD_OUT]
    train = order[n_held_out:]
    if keep_zeros:
        _freeze_zeros(twin)
    optimizer = torch.optim.Adam(
        [{"params": [raw], "lr": learning_rate * relative_scale(name, twin)} for name, raw in twin.raw.items()]
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(n_batches, 1))

    @torch.no_grad()
    def held_out_loss() -> float:
        total = 0.0
        for first in range(0, len(held_out), batch_size):
            rows = held_out[first : first + batch_size]
            given, wanted = data.batch(rows)
            total += float(measure(given, wanted, twin(given)).double().sum())
        return total / len(held_out)

    interval = max(1, n_batches // _EVALUATIONS)
    threads = threads_for_batch(batch_size, encoder.n_features, encoder.n_components)
    # At most, since torch also counts processors that a container may not use.
    with (
        torch_threads(min(torch.get_num_threads(), threads)),
        (progress or Progress()).phase("encoder", n_batches, "batches") as phase,
    ):
        best, best_arrays = held_out_loss(), None
        if not np.isfinite(best):
            raise UsageError(
                "the loss of the encoder that training starts from is not finite: bring the signals to scale 1"
            )
        for batch, rows in enumerate(_batches(train, batch_size, n_batches, generator), start=1):
            given, wanted = data.batch(rows)
            optimizer.zero_grad()
            value = measure(given, wanted, twin(given)).mean()
            value.backward()
            optimizer.step()
            schedule.step()
            phase.advance()
            if batch % interval == 0 or batch == n_batches:
                now = held_out_loss()
                phase.note(f"held-out loss {now:.4g}")
                if now < best:
                    best, best_arrays = now, twin.to_arrays()
                elif not np.isfinite(now):
                    break  # the steps were too long; the best arrays so far remain
    return encoder.arrays() if best_arrays is None else best_arrays


class _Data:
    """Batches of signals, and of codes where they are needed, on the device."""

    def __init__(self, encoder: Encoder, signals: Any, codes: Any, device: str) -> None:
        self.signals = as_table(signals, n_features=encoder.n_features)
        if len(self.signals) == 0:
            raise UsageError("signals have no samples, but an encoder needs at least one to learn from")
        self.n_samples = len(self.signals)
        self.codes = None
        if codes is not None:
            self.codes = codes.tocsr() if is_sparse(codes) else as_table(codes, name="codes")
            if self.codes.shape != (self.n_samples, encoder.n_components):
                raise UsageError(
                    f"codes have shape {self.codes.shape}, but these signals and this encoder need "
                    f"({self.n_samples}, {encoder.n_components})"
                )
        self.dtype, self.device = encoder.dtype, device

    def batch(self, rows: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        """Signals, and their codes, or the signals again where the loss needs no codes."""
        signals = self._tensor(self.signals, rows)
        return signals, signals if self.codes is None else self._tensor(self.codes, rows)

    def _tensor(self, source: Any, rows: NDArray[np.int64]) -> torch.Tensor:
        found = source[rows]
        array = kernel_array(found.toarray() if is_sparse(found) else found, self.dtype)
        if not np.isfinite(array).all():
            raise UsageError("signals or codes hold NaN or infinity: remove or correct those samples before training")
        return torch.from_numpy(array).to(self.device)


def _loss(
    encoder: Encoder,
    loss: str,
    codes: Any,
    components: ArrayLike | PreparedDictionary | None,
    sparsity: float | ArrayLike | None,
    device: str,
) -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]:
    """The loss of each sample, as a function of signals, target codes and predicted codes."""
    if loss == "codes":
        if codes is None:
            raise UsageError('an encoder learns from codes: give them, or loss="energy" with components and sparsity')
        return lambda given, wanted, predicted: (predicted - wanted).square().sum(dim=1) / 2
    if components is None or sparsity is None:
        raise UsageError('loss="energy" needs the dictionary and its weight: give components and sparsity')
    units = as_prepared(components).components
    if units.shape != (encoder.n_components, encoder.n_features):
        raise UsageError(
            f"components have shape {units.shape}, but the encoder needs a dictionary of "
            f"{(encoder.n_components, encoder.n_features)}"
        )
    weights = torch.tensor(as_weights(sparsity, len(units)).astype(encoder.dtype), device=device)
    dictionary = torch.tensor(units.astype(encoder.dtype), device=device)

    def energy(given: torch.Tensor, _: torch.Tensor, predicted: torch.Tensor) -> torch.Tensor:
        return (given - predicted @ dictionary).square().sum(dim=1) / 2 + predicted.abs() @ weights

    return energy


def _batches(
    rows: NDArray[np.int64], batch_size: int, n_batches: int, generator: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Shuffled epochs; sorted within a batch, for memory maps."""
    n = 0
    while n < n_batches:
        order = generator.permutation(rows)
        for first in range(0, len(order), batch_size):
            if n == n_batches:
                return
            yield np.sort(order[first : first + batch_size])
            n += 1


def relative_scale(name: str, twin: Twin) -> float:
    """Step size of an array for a learning rate of 1: its root mean square, or 1 if its logarithm is learned."""
    if name in twin.encoder.positive:
        return 1.0
    for value in (twin.raw[name].detach(), twin.raw["filters"].detach()):
        entries = value[value != 0].double()
        if len(entries):
            return float(entries.square().mean().sqrt())
    return 1.0


def _freeze_zeros(twin: Twin) -> None:
    for name in twin.encoder.prunable:
        raw = twin.raw[name]
        free = (raw.detach() != 0).to(raw.dtype)
        if not free.all():
            raw.register_hook(lambda gradient, free=free: gradient * free)


class TorchLearner(RelativeSteps):
    """An encoder in training together with a dictionary, by torch.

    Parameters
    ----------
    encoder : Encoder
        The encoder to start from; it is not changed.
    rate : float
        A tenth of the step size of Adam, relative to the root mean square of each array.
    sparsity : float
        Weight of the L1 term, for units that are initialized again.
    """

    def __init__(self, encoder: Encoder, rate: float, sparsity: float) -> None:
        self._twin = Twin(encoder)
        self._sparsity = sparsity
        # The arrays share memory with the twin, so that it uses what the optimizer changes.
        self.arrays = {name: value.detach().numpy() for name, value in self._twin.raw.items()}
        self.rates = {name: FASTER * rate * relative_scale(name, self._twin) for name in self.arrays}

    def encode(self, signals: NDArray[Any]) -> NDArray[Any]:
        """The predicted codes; nothing is kept for `gradients`."""
        with torch.no_grad():
            codes: NDArray[Any] = self._twin(torch.from_numpy(signals)).numpy()
        return codes

    def predict(self, signals: NDArray[Any]) -> NDArray[Any]:
        """The predicted codes of a batch; keeps the graph for `gradients`."""
        self._predicted = self._twin(torch.from_numpy(signals))
        codes: NDArray[Any] = self._predicted.detach().numpy()
        return codes

    def gradients(self, signals: NDArray[Any], codes: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Derivatives of the mean of ½‖codes − prediction‖² for the last `predict`."""
        error = (self._predicted - torch.from_numpy(codes)).square().sum() / (2 * len(codes))
        names = list(self.arrays)
        found = torch.autograd.grad(error, [self._twin.raw[name] for name in names], allow_unused=True)
        return {name: value.numpy() for name, value in zip(names, found, strict=True) if value is not None}

    def restart(self, units: NDArray[np.int64], components: NDArray[Any]) -> None:
        """Initialize these units again, including their effect on other units and that of others on them."""
        encoder = self._twin.encoder
        axis = encoder.unit_axis
        for name, array in clone(encoder).start(components, self._sparsity).arrays().items():
            fresh = np.log(array) if name in encoder.positive else array
            for one in (axis, axis + 1) if name in encoder.mutual else (axis,):
                np.moveaxis(self.arrays[name], one, 0)[units] = np.moveaxis(fresh, one, 0)[units]

    def encoder(self) -> Encoder:
        """A new encoder with the present arrays."""
        return self._twin.encoder.with_arrays(self._twin.to_arrays())
