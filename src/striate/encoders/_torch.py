"""Differentiable twins of the encoders, and their training by gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.nn.functional import embedding, relu

from striate.coding.prepared_dictionary import PreparedDictionary
from striate.encoders._encoder import Encoder, TrainableEncoder, as_prepared, as_weights
from striate.encoders.lcod import LCoD
from striate.encoders.linear import LinearEncoder
from striate.encoders.lista import LISTA
from striate.encoders.shrinkage import ShrinkageEncoder, SmoothShrinkageEncoder
from striate.errors import UsageError
from striate.progress import Progress
from striate.randomness import RandomState, generator_from
from striate.samples import as_table, is_sparse, kernel_array
from striate.threads import threads_for_batch

__all__ = ["Twin", "relative_scale", "train_encoder"]

_LOOKS = 20  # at the held-out samples, during a training
_MOST_HELD_OUT = 1000  # more would sharpen the choice little
_FEWEST = 50  # samples; of fewer none can be spared

Parameters = Mapping[str, torch.Tensor]
Trained = TypeVar("Trained", bound=TrainableEncoder)


def _shrink(values: torch.Tensor, thresholds: torch.Tensor) -> torch.Tensor:
    return relu(values - thresholds) - relu(-values - thresholds)


def _linear(encoder: LinearEncoder, parameters: Parameters, signals: torch.Tensor) -> torch.Tensor:
    return signals @ parameters["filters"].T + parameters["bias"]


def _shrinkage(encoder: ShrinkageEncoder, parameters: Parameters, signals: torch.Tensor) -> torch.Tensor:
    return _shrink(signals @ parameters["filters"].T, parameters["thresholds"])


def _smooth_shrinkage(encoder: SmoothShrinkageEncoder, parameters: Parameters, signals: torch.Tensor) -> torch.Tensor:
    values, beta = signals @ parameters["filters"].T, parameters["beta"]
    scaled, corner = beta * values.abs(), beta * parameters["bias"]
    beyond = scaled - corner
    # As `SmoothShrinkageEncoder` computes it.
    rest = torch.log1p(-torch.exp(-beyond.abs()) * torch.expm1(-torch.minimum(scaled, corner)))
    return values.sign() * (relu(beyond) + rest) / beta


def _lista(encoder: LISTA, parameters: Parameters, signals: torch.Tensor) -> torch.Tensor:
    def at(name: str, step: int) -> torch.Tensor:
        return parameters[name][step] if encoder.untied else parameters[name]

    linear = signals @ at("filters", 0).T
    codes = _shrink(linear, at("thresholds", 0))
    for step in range(1, encoder.steps):
        if encoder.untied:
            linear = signals @ at("filters", step).T
        codes = _shrink(torch.addmm(linear, codes, at("inhibition", step - 1).T), at("thresholds", step))
    return codes


def _lcod(encoder: LCoD, parameters: Parameters, signals: torch.Tensor) -> torch.Tensor:
    thresholds, influence = parameters["thresholds"], parameters["inhibition"].T
    drive = signals @ parameters["filters"].T
    codes = torch.zeros_like(drive)
    for _ in range(encoder.steps):
        change = _shrink(drive, thresholds) - codes
        chosen = change.detach().abs().argmax(dim=1, keepdim=True)  # the route has no derivative
        moved = change.gather(1, chosen)
        drive = drive + moved * embedding(chosen[:, 0], influence)
        codes = codes.scatter_add(1, chosen, moved)
    return _shrink(drive, thresholds) if encoder.final_shrinkage else codes


_FORWARD: dict[type[Encoder], Callable[..., torch.Tensor]] = {
    LinearEncoder: _linear,
    ShrinkageEncoder: _shrinkage,
    SmoothShrinkageEncoder: _smooth_shrinkage,
    LISTA: _lista,
    LCoD: _lcod,
}


class Twin(torch.nn.Module):
    """An encoder as a torch module, with the same codes up to rounding, and gradients.

    Parameters that must be above 0 are kept as their logarithms, so that every step leaves them there, and is
    relative to what they are.

    Parameters
    ----------
    encoder : LinearEncoder, ShrinkageEncoder, SmoothShrinkageEncoder, LISTA or LCoD
    device : str, default "cpu"

    Raises
    ------
    UsageError
        For an encoder of another class.
    """

    def __init__(self, encoder: Encoder, device: str = "cpu") -> None:
        super().__init__()
        forward = next((found for kind, found in _FORWARD.items() if isinstance(encoder, kind)), None)
        if forward is None:
            raise UsageError(
                f"gradients train {', '.join(kind.__name__ for kind in _FORWARD)}; "
                f"{type(encoder).__name__} learns in PSD"
            )
        self.encoder = encoder
        self._codes = forward
        self.raw = torch.nn.ParameterDict()
        for name, array in encoder.parameters().items():
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
    encoder: Trained,
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
) -> Trained:
    """What `TrainableEncoder.fit` calls, and describes; the defaults are there."""
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

    look = max(1, n_batches // _LOOKS)
    threads = threads_for_batch(batch_size, encoder.n_features, encoder.n_components)
    with _torch_threads(threads), (progress or Progress()).phase("encoder", n_batches, "batches") as phase:
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
            if batch % look == 0 or batch == n_batches:
                now = held_out_loss()
                phase.note(f"held-out loss {now:.4g}")
                if now < best:
                    best, best_arrays = now, twin.to_arrays()
                elif not np.isfinite(now):
                    break  # the steps were too long: what was best before remains
    return encoder.with_parameters(encoder.parameters() if best_arrays is None else best_arrays)


class _Data:
    """Signals, and codes where they are wanted, by batches on the device."""

    def __init__(self, encoder: TrainableEncoder, signals: Any, codes: Any, device: str) -> None:
        self.signals = as_table(signals, n_features=encoder.n_features)
        if len(self.signals) == 0:
            raise UsageError("signals have no samples, and an encoder learns from one or more")
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
        """Signals, and their codes, or the signals again where a loss asks for no codes."""
        signals = self._tensor(self.signals, rows)
        return signals, signals if self.codes is None else self._tensor(self.codes, rows)

    def _tensor(self, source: Any, rows: NDArray[np.int64]) -> torch.Tensor:
        found = source[rows]
        array = kernel_array(found.toarray() if is_sparse(found) else found, self.dtype)
        if not np.isfinite(array).all():
            raise UsageError("signals or codes hold NaN or infinity: remove or mend those samples before training")
        return torch.from_numpy(array).to(self.device)


def _loss(
    encoder: TrainableEncoder,
    loss: str,
    codes: Any,
    components: ArrayLike | PreparedDictionary | None,
    sparsity: float | ArrayLike | None,
    device: str,
) -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]:
    """A number for each sample, from signals, the codes that are wanted, and those that are predicted."""
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
    """What a learning rate of 1 would move a parameter by: its root mean square, or e where it is a logarithm."""
    if name in twin.encoder.positive:
        return 1.0
    for value in (twin.raw[name].detach(), twin.raw["filters"].detach()):
        entries = value[value != 0].double()
        if len(entries):
            return float(entries.square().mean().sqrt())
    return 1.0


def _freeze_zeros(twin: Twin) -> None:
    encoder = twin.encoder
    if isinstance(encoder, LISTA) and encoder.inhibition.size and encoder.density < 1:
        raw = twin.raw["inhibition"]
        free = (raw.detach() != 0).to(raw.dtype)
        raw.register_hook(lambda gradient: gradient * free)


@contextmanager
def _torch_threads(n: int) -> Iterator[None]:
    """At most `n` threads: torch itself counts processors that a container is not granted."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, n))
    try:
        yield
    finally:
        torch.set_num_threads(before)
