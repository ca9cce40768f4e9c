"""The network of `SmallCNN` in torch: layers, augmentation and training."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from striate.experiments.recognition.baselines.changes import Changes
from striate.threads import torch_threads

__all__ = ["Network", "predict", "train"]

Network = nn.Sequential

# Found on development draws of digits and of thumbnails.
WIDTH = 32  # maps of the first layer
LEARNING_RATE = 5e-3
WEIGHT_DECAY = 0.05
SMOOTHING = 0.1  # of labels
DROPOUT = 0.2
SMALL = 40  # pixels per side up to which the first layer sees every position
WARM_UP = 0.1  # fraction of the steps in which the learning rate rises


def train(
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
    changes: Changes,
    *,
    n_steps: int,
    batch_size: int,
    seed: int,
    n_threads: int,
    each_step: Callable[[], None],
) -> Network:
    """Train a network; see `SmallCNN` for the parameters."""
    with torch_threads(n_threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        given = torch.from_numpy(images)
        wanted = torch.from_numpy(labels)
        network = _network(_Standardize(given), images.shape[2], int(labels.max()) + 1)
        weights = [part for part in network.parameters() if part.ndim > 1]
        others = [part for part in network.parameters() if part.ndim <= 1]
        optimizer = torch.optim.AdamW(
            [{"params": weights, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}],
            lr=LEARNING_RATE,
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, n_steps))
        network.train()
        order = torch.empty(0, dtype=torch.long)
        for _ in range(n_steps):
            while len(order) < batch_size:
                order = torch.cat([order, torch.randperm(len(given))])
            rows, order = order[:batch_size], order[batch_size:]
            batch = _lit(_moved(given[rows], changes), changes.light)
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = network(batch)
            functional.cross_entropy(logits.float(), wanted[rows], label_smoothing=SMOOTHING).backward()
            optimizer.step()
            schedule.step()
            each_step()
    return network.eval()


def predict(network: Network, images: NDArray[np.float32], *, mirrored: bool, n_threads: int) -> NDArray[np.int64]:
    """Return the class of each image; of an image and its mirror image the probabilities are averaged."""
    found = [np.empty(0, np.int64)]
    with torch_threads(n_threads), torch.inference_mode():
        for start in range(0, len(images), 256):
            batch = torch.from_numpy(images[start : start + 256])
            chances = network(batch).softmax(dim=1)
            if mirrored:
                chances = chances + network(batch.flip(3)).softmax(dim=1)
            found.append(chances.argmax(dim=1).numpy())
    return np.concatenate(found)


class _Standardize(nn.Module):
    """Each channel to mean 0 and variance 1 over the training images."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", images.mean(dim=(0, 2, 3), keepdim=True))
        self.register_buffer("deviation", images.std(dim=(0, 2, 3), keepdim=True).clamp_min(1e-3))

    def forward(self, images: Tensor) -> Tensor:
        return ((images - self.mean) / self.deviation).contiguous(memory_format=torch.channels_last)


def _network(first: _Standardize, side: int, n_classes: int) -> Network:
    """Four blocks of convolution, batch normalization and rectification; then averages and a linear layer."""

    def block(n_in: int, n_out: int, size: int = 3, stride: int = 1) -> list[nn.Module]:
        return [
            nn.Conv2d(n_in, n_out, size, stride=stride, padding=size // 2, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(inplace=True),
        ]

    n_channels = first.mean.shape[1]
    layers = [
        first,
        *(block(n_channels, WIDTH) if side <= SMALL else block(n_channels, WIDTH, 5, 2)),
        nn.MaxPool2d(2),
        *block(WIDTH, 2 * WIDTH),
        nn.MaxPool2d(2),
        *block(2 * WIDTH, 4 * WIDTH),
        nn.MaxPool2d(2),
        *block(4 * WIDTH, 4 * WIDTH),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(DROPOUT),
        nn.Linear(4 * WIDTH, n_classes),
    ]
    return Network(*layers)


def _rate(step: int, n_steps: int) -> float:
    """The learning rate relative to its maximum: a rise, then half a cosine."""
    rise = max(1, round(WARM_UP * n_steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, n_steps - rise)))


def _moved(images: Tensor, changes: Changes) -> Tensor:
    """Shift, turn, zoom and mirror each image at random; pixels from outside are those of the nearest edge."""
    n = len(images)
    angle = math.radians(changes.turn) * (2 * torch.rand(n) - 1)
    scale = torch.exp(math.log1p(changes.zoom) * (2 * torch.rand(n, 2) - 1))
    sign = (2 * torch.randint(0, 2, (n,)) - 1).float() if changes.mirrored else torch.ones(n)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = sign * scale[:, 0] * angle.cos()
    theta[:, 0, 1] = -scale[:, 1] * angle.sin()
    theta[:, 1, 0] = sign * scale[:, 0] * angle.sin()
    theta[:, 1, 1] = scale[:, 1] * angle.cos()
    theta[:, :, 2] = 2 * changes.shift * (2 * torch.rand(n, 2) - 1)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _lit(images: Tensor, strength: float) -> Tensor:
    """Change brightness and contrast of each image, and of each channel by half as much, at random."""
    n, n_channels = images.shape[:2]
    gain = torch.exp(strength * (2 * torch.rand(n, 1, 1, 1) - 1)) * torch.exp(
        0.5 * strength * (2 * torch.rand(n, n_channels, 1, 1) - 1)
    )
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - mean) * gain + mean + 0.5 * strength * (2 * torch.rand(n, 1, 1, 1) - 1)
