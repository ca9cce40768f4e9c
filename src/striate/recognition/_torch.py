"""A hierarchy and a linear classifier as one network in torch, and its training by gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from torch.utils import deterministic

from striate.checkpoint import Checkpoint
from striate.errors import StriateError, UsageError
from striate.hierarchy import Hierarchy
from striate.progress import Phase, Progress
from striate.recognition.linear_head import LinearHead
from striate.recognition.refinement_options import EpochRecord, RefinementOptions
from striate.recognition.training_images import TrainingImages, moved
from striate.threads import n_threads, torch_threads

__all__ = ["Network", "Trained", "train_network"]

_SMALLEST_SCALE = 1.0  # of the classifier’s weights, relative to 1/√n_columns: a strong decay may have left nearly none
# In the largest maps of the images that are computed together on a CPU, six of 143×143: a whole batch of 32 takes 4 %
# less time and 180 MB more. Without kernels for a stage, larger arrays are new memory of the system each time.
_NUMBERS_AT_ONCE = 8_000_000
_SAVED = "refinement"  # the name of the state in a checkpoint


class Network(torch.nn.Module):
    """Images (n, channels, height, width) → logits (n, n_classes).

    Parameters
    ----------
    hierarchy : Hierarchy
    head : LinearHead
    """

    mean: torch.Tensor
    factor: torch.Tensor

    def __init__(self, hierarchy: Hierarchy, head: LinearHead) -> None:
        super().__init__()
        self.hierarchy, self.head = hierarchy, head
        self.layers = hierarchy.to_torch()
        self.weights = torch.nn.Parameter(torch.tensor(head.weights))
        self.intercept = torch.nn.Parameter(torch.tensor(head.intercept))
        self.register_buffer("mean", torch.tensor(head.mean))
        self.register_buffer("factor", torch.tensor(1 / head.scale))

    def forward(self, images: torch.Tensor, kept: torch.Tensor | None = None) -> torch.Tensor:
        """Logits; `kept` (n, n_columns) multiplies the classifier's inputs, for dropout."""
        columns = self.columns(images)
        return functional.linear(columns if kept is None else columns * kept, self.weights, self.intercept)

    def columns(self, images: torch.Tensor) -> torch.Tensor:
        """The inputs of the classifier, (n, n_columns)."""
        # Convolutions are faster where the values of all maps at a pixel are adjacent.
        features = self.layers(_channels_last(images)).flatten(1)
        standardized: torch.Tensor = (features - self.mean) * self.factor
        if self.head.split:
            return torch.cat([standardized.clamp_min(0), (-standardized).clamp_min(0)], dim=1)
        return standardized

    def to_arrays(self) -> dict[str, NDArray[np.float32]]:
        """A copy of all parameters by their names in `named_parameters`."""
        return {name: value.detach().cpu().numpy().copy() for name, value in self.named_parameters()}

    @torch.no_grad()
    def restore(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        """The inverse of `to_arrays`."""
        for name, value in self.named_parameters():
            value.copy_(torch.from_numpy(np.array(arrays[name])))

    def groups(self, options: RefinementOptions) -> list[dict[str, Any]]:
        """For the optimizer: each parameter with its step size and decay, which are relative to its scale."""
        decayed = {_twin_name(name) for name in self.hierarchy.decayed_weights} | {"weights"}
        groups = []
        for name, value in self.named_parameters():
            scale = float(value.detach().double().square().mean().sqrt())
            if name == "weights":
                scale = max(scale, _SMALLEST_SCALE / value.shape[1] ** 0.5)
            elif scale == 0:
                scale = 1.0
            unit = scale if options.optimizer == "adamw" else scale**2
            decay = options.weight_decay / unit if name in decayed else 0.0
            rate = options.learning_rate * unit
            groups.append({"params": [value], "lr": rate, "weight_decay": decay, "largest": rate})
        return groups


@dataclass
class Trained:
    """What a training has found.

    Attributes
    ----------
    hierarchy : Hierarchy
    head : LinearHead
    n_steps : int
        Those after which the network was as it is here.
    history : list of EpochRecord
    validation_logits : float32 (n_held_out, n_classes)
    """

    hierarchy: Hierarchy
    head: LinearHead
    n_steps: int
    history: list[EpochRecord]
    validation_logits: NDArray[np.float32]


def train_network(
    hierarchy: Hierarchy,
    head: LinearHead,
    images: TrainingImages,
    rows: NDArray[np.int64],
    held_out: NDArray[np.int64],
    options: RefinementOptions,
    *,
    schedule: int,
    n_steps: int,
    name: str,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train a network, and return it as it was best on the images that were held out; without any, as it is at last.

    Parameters
    ----------
    hierarchy, head
        Where it begins.
    images : TrainingImages
    rows, held_out : int64
        The images to learn from, and those to judge by.
    options : RefinementOptions
    schedule : int
        Steps over which the step size falls to 0.
    n_steps : int
        Steps after which training ends.
    name : str
        Of the phase.
    checkpoint : Checkpoint, optional
        A run that was killed goes on from it, with the same bits.
    progress : Progress, optional
    """
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    elif device == "cuda" and not torch.cuda.is_available():
        raise UsageError('torch finds no GPU: leave out device="cuda", or install a build of torch for the GPU')
    with _exactly(device):
        run = _Run(Network(hierarchy, head).to(device), images, rows, held_out, options, schedule, n_steps, device)
        run.train(name, checkpoint, progress or Progress())
        run.network.restore(run.state.best)
        logits = run.logits(held_out)
    state = run.state
    parameters = {name: each for name, each in state.best.items() if name.startswith("layers.")}
    weights = {_weight_name(name): each for name, each in parameters.items()}
    refined = replace(head, weights=state.best["weights"], intercept=state.best["intercept"])
    return Trained(hierarchy.with_weights(weights), refined, state.best_step, state.history, logits)


@dataclass
class _State:
    """What changes in training, beside the network and the optimizer."""

    best: dict[str, NDArray[np.float32]]
    step: int = 0
    best_step: int = 0
    best_judged: tuple[float, float] | None = None  # share of errors, cross-entropy
    waited: int = 0  # epochs since the best
    is_done: bool = False
    sums: tuple[float, int, int] = (0.0, 0, 0)  # of the epoch so far: losses, right images, images
    history: list[EpochRecord] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        names = ("step", "best_step", "best_judged", "waited", "is_done", "sums")
        return {name: getattr(self, name) for name in names} | {"history": [list(one) for one in self.history]}

    @classmethod
    def of(cls, best: dict[str, NDArray[np.float32]], saved: Mapping[str, Any]) -> _State:
        judged, sums = saved["best_judged"], saved["sums"]
        history = [EpochRecord(*one) for one in saved["history"]]
        changed = {"history": history, "best_judged": None if judged is None else tuple(judged), "sums": tuple(sums)}
        return cls(best, **{**saved, **changed})


class _Run:
    """One training."""

    def __init__(
        self,
        network: Network,
        images: TrainingImages,
        rows: NDArray[np.int64],
        held_out: NDArray[np.int64],
        options: RefinementOptions,
        schedule: int,
        n_steps: int,
        device: str,
    ) -> None:
        self.network, self.images, self.rows, self.held_out = network, images, rows, held_out
        self.options, self.schedule, self.n_steps, self.device = options, schedule, n_steps, device
        groups = network.groups(options)
        self.optimizer: torch.optim.Optimizer
        if options.optimizer == "adamw":
            self.optimizer = torch.optim.AdamW(groups)
        else:
            self.optimizer = torch.optim.SGD(groups, momentum=options.momentum, nesterov=options.momentum > 0)
        self.state = _State(network.to_arrays())
        self.per_epoch = -(-len(rows) // options.batch_size)
        shapes = network.hierarchy.shapes(images.preprocessing.shape)
        largest = max(math.prod(shape) for shape in shapes)
        self.at_once = max(1, _NUMBERS_AT_ONCE // largest) if device == "cpu" else options.batch_size

    def train(self, name: str, checkpoint: Checkpoint | None, progress: Progress) -> None:
        """All steps that are left."""
        saved = None if checkpoint is None else checkpoint.load(_SAVED)
        if saved is not None:
            self._restore(*saved)
        elif len(self.held_out):
            self._judge(None, None)
        state = self.state
        with progress.phase(name, self.n_steps, "batches") as phase:
            phase.advance(state.step)
            while state.step < self.n_steps and not state.is_done:
                self._epoch(phase, checkpoint)
        if not len(self.held_out):
            state.best, state.best_step = self.network.to_arrays(), state.step
        if checkpoint is not None and not state.is_done:
            state.is_done = True
            self._save(checkpoint)

    def _epoch(self, phase: Phase, checkpoint: Checkpoint | None) -> None:
        """The batches that are left of an epoch, and a look at the held-out images."""
        state, batch_size = self.state, self.options.batch_size
        epoch, first = divmod(state.step, self.per_epoch)
        order = np.random.default_rng([self.options.random_state, epoch]).permutation(self.rows)
        if not first:
            state.sums = (0.0, 0, 0)
        for prepared, codes in self.images.batches(order, batch_size, start=first):
            if state.step == self.n_steps:
                return
            loss, n_right = self._step(prepared, codes)
            if not np.isfinite(loss):
                self._diverged()
                return
            losses, right, seen = state.sums
            state.sums = (losses + loss * len(codes), right + n_right, seen + len(codes))
            state.step += 1
            phase.advance()
            losses, right, seen = state.sums
            if state.step % self.per_epoch == 0:
                self._judge(losses / seen, right / seen)
            phase.note(self._remark(losses / seen, right / seen))
            if checkpoint is not None and checkpoint.due():
                self._save(checkpoint)

    def _step(self, prepared: NDArray[np.float32], codes: NDArray[np.int64]) -> tuple[float, int]:
        """One step; returns the mean loss of the batch before it, and how many of it were right."""
        options, step = self.options, self.state.step
        if options.shift or options.mirror or options.elastic:
            rng = np.random.default_rng([options.random_state, 1, step])
            prepared = moved(prepared, shift=options.shift, mirror=options.mirror, elastic=options.elastic, rng=rng)
        images, targets = self._tensor(prepared), torch.from_numpy(codes).to(self.device)
        for group in self.optimizer.param_groups:
            group["lr"] = group["largest"] * options.share(step, self.schedule)
        self.optimizer.zero_grad()
        kept, value, n_right = self._kept(len(codes)), 0.0, 0
        for part in self._parts(len(codes)):
            logits = self.network(images[part], None if kept is None else kept[part])
            entropy = functional.cross_entropy(
                logits, targets[part], label_smoothing=options.label_smoothing, reduction="sum"
            )
            loss = entropy / len(codes)
            loss.backward()
            value += float(loss.detach())
            n_right += int((logits.detach().argmax(dim=1) == targets[part]).sum())
        if np.isfinite(value):
            self.optimizer.step()
        return value, n_right

    def _parts(self, n: int) -> list[slice]:
        """The images of a batch that go through the network at once, since slopes are sums over images."""
        return [slice(start, start + self.at_once) for start in range(0, n, self.at_once)]

    def _kept(self, n: int) -> torch.Tensor | None:
        """Random factors of the classifier's inputs, 0 or large enough for the same mean; a function of the step."""
        dropout = self.options.dropout
        if not dropout:
            return None
        seed = np.random.SeedSequence([self.options.random_state, 2, self.state.step]).generate_state(1)
        generator = torch.Generator(self.device).manual_seed(int(seed[0]))
        shape = (n, self.network.weights.shape[1])
        return (torch.rand(shape, generator=generator, device=self.device) >= dropout) / (1 - dropout)

    def _judge(self, loss: float | None, accuracy: float | None) -> None:
        """Judge by the held-out images, and keep the network if it is the best so far."""
        state = self.state
        if not len(self.held_out):
            state.history.append(EpochRecord(state.step, loss, accuracy, None, None))
            return
        codes = self.images.codes[self.held_out]
        logits = torch.from_numpy(self.logits(self.held_out))
        wrong = float(np.mean(logits.numpy().argmax(axis=1) != codes))
        entropy = float(functional.cross_entropy(logits.double(), torch.from_numpy(codes)))
        state.history.append(EpochRecord(state.step, loss, accuracy, entropy, 1 - wrong))
        state.waited += 1
        if state.best_judged is None or (wrong, entropy) < state.best_judged:
            state.best, state.best_step = self.network.to_arrays(), state.step
            state.best_judged, state.waited = (wrong, entropy), 0
        elif self.options.patience is not None and state.waited >= self.options.patience:
            state.is_done = True

    @torch.no_grad()
    def logits(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits of some images, float32 (n, n_classes)."""
        parts = [np.empty((0, len(self.network.head.intercept)), np.float32)]
        for prepared, _ in self.images.batches(rows, min(self.at_once, self.options.batch_size)):
            parts.append(self.network(self._tensor(prepared)).cpu().numpy())
        return np.concatenate(parts)

    def _tensor(self, prepared: NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(prepared)).to(self.device)

    def _remark(self, loss: float, accuracy: float) -> str:
        remark = f"loss {loss:.3g}, {accuracy:.1%} right"
        judged = [one.validation_accuracy for one in self.state.history if one.validation_accuracy is not None]
        return f"{remark}, {judged[-1]:.1%} of held-out images" if judged else remark

    def _diverged(self) -> None:
        """End the training: what was best so far remains."""
        if not len(self.held_out):
            raise StriateError("refinement diverged: the loss is not finite; lower learning_rate")
        self.state.is_done = True

    def _save(self, checkpoint: Checkpoint) -> None:
        arrays = {f"now.{name}": each for name, each in self.network.to_arrays().items()}
        arrays |= {f"best.{name}": each for name, each in self.state.best.items()}
        for number, moments in self.optimizer.state_dict()["state"].items():
            arrays |= {f"moment.{number}.{name}": value.cpu().numpy() for name, value in moments.items()}
        checkpoint.save(_SAVED, arrays, self.state.to_json())

    def _restore(self, arrays: Mapping[str, NDArray[Any]], saved: Mapping[str, Any]) -> None:
        parts: dict[str, dict[str, NDArray[Any]]] = {"now": {}, "best": {}, "moment": {}}
        for name, each in arrays.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = np.array(each)
        self.network.restore(parts["now"])
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, each in parts["moment"].items():
            number, _, moment = name.partition(".")
            moments.setdefault(int(number), {})[moment] = torch.from_numpy(each)
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        self.state = _State.of(parts["best"], saved)


def _channels_last(images: torch.Tensor) -> torch.Tensor:
    """The same images; strides of a single channel say nothing to `contiguous`, and torch would put maps first."""
    n, channels, height, width = images.shape
    if channels > 1:
        return images.contiguous(memory_format=torch.channels_last)
    return images.contiguous().as_strided((n, 1, height, width), (height * width, 1, width, 1))


def _twin_name(weight: str) -> str:
    """The name of a parameter of the network from that of a hierarchy's weight: ``layers.0.filters``."""
    place, _, name = weight.partition("_")
    return f"layers.{place}.{name}"


def _weight_name(parameter: str) -> str:
    """The inverse of `_twin_name`."""
    _, place, name = parameter.split(".", 2)
    return f"{place}_{name}"


@contextmanager
def _exactly(device: Literal["cpu", "cuda"]) -> Iterator[None]:
    """With the threads that striate may use, and on a CPU only with operations that give the same bits every time."""
    were_exact = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = deterministic
    filled = memory.fill_uninitialized_memory
    if device == "cpu":
        memory.fill_uninitialized_memory = False  # all of it is written before it is read
        torch.use_deterministic_algorithms(True)
    try:
        with torch_threads(n_threads()):
            yield
    finally:
        torch.use_deterministic_algorithms(were_exact, warn_only=warn_only)
        memory.fill_uninitialized_memory = filled
