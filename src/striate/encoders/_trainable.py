"""Encoders that are trained with torch: together with a dictionary, or to predict given codes."""

from __future__ import annotations

from typing import Any, Literal, Self

from numpy.typing import ArrayLike

from striate.coding.prepared_dictionary import PreparedDictionary
from striate.encoders._encoder import Encoder, EncoderLearner
from striate.lazy import needs_torch
from striate.parameters import Boolean, Choice, Integer, Real, Seed, Text, checked
from striate.progress import Progress
from striate.randomness import RandomState

__all__ = ["TorchEncoder", "TrainableEncoder"]


class TorchEncoder(Encoder):
    """An encoder that `PSD` trains by means of a differentiable twin in `striate.encoders._torch`."""

    def learner(self, rate: float, sparsity: float) -> EncoderLearner:
        """The object that trains this encoder together with a dictionary; needs torch."""
        with needs_torch(f'PSD(encoder="{self.kind}") needs torch to learn', 'encoder="tanh" needs none'):
            from striate.encoders._torch import TorchLearner
        return TorchLearner(self, rate, sparsity)


class TrainableEncoder(TorchEncoder):
    """An encoder that can be trained by gradients to predict given codes.

    References
    ----------
    Gregor, LeCun, "Learning fast approximations of sparse coding", ICML 2010, section 3. Kingma, Ba, "Adam: a
    method for stochastic optimization", ICLR 2015. Loshchilov, Hutter, "SGDR: stochastic gradient descent with
    warm restarts", ICLR 2017, equation 5 without restarts.
    """

    def fit(
        self,
        signals: Any,
        codes: Any = None,
        *,
        loss: Literal["codes", "energy"] = "codes",
        components: ArrayLike | PreparedDictionary | None = None,
        sparsity: float | ArrayLike | None = None,
        batch_size: int = 256,
        n_batches: int = 5000,
        learning_rate: float = 0.03,
        held_out_fraction: float = 0.1,
        keep_zeros: bool = True,
        device: str = "cpu",
        random_state: RandomState = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn to predict codes, starting from the arrays of `start` or of an earlier fit.

        The step size of Adam falls to zero along a cosine. The arrays with the lowest held-out loss are kept; these may
        be the initial ones, so that the held-out loss never increases.

        Parameters
        ----------
        signals : float (n_samples, n_features)
            Training signals; a memory map is read in batches.
        codes : float (n_samples, n_components) or scipy.sparse array, optional
            Target codes, as from `striate.coding.infer`; not needed for the energy.
        loss : {"codes", "energy"}, default "codes"
            The mean of ½‖z − encode(y)‖², as in the paper; or that of ½‖y − encode(y)·D‖² + sparsity·‖encode(y)‖₁,
            which needs no optimal codes and gives codes of lower energy.
        components : float (n_components, n_features) or PreparedDictionary, optional
            D, needed for the energy only.
        sparsity : float or (n_components,), optional
            Needed for the energy only; above 0.
        batch_size : int, default 256
            Signals per step.
        n_batches : int, default 5000
            Number of steps; the cosine ends with the last one.
        learning_rate : float, default 0.03
            Size of the first step, relative to the root mean square of an array, and for thresholds to each threshold.
            It therefore does not depend on the scale of signals and dictionary. For 128 units and whitened patches,
            2,000 batches with 0.03 are as good as 5,000 with 0.01, and values up to 0.1 as good as 0.03.
        held_out_fraction : float, default 0.1
            Fraction of the samples, at most 1,000, on which the loss is evaluated 20 times to choose the best arrays;
            with fewer than 50 samples, all are used for both.
        keep_zeros : bool, default True
            Leave the zeros of LISTA's inhibition as they are, so that a pruned encoder stays sparse.
        device : str, default "cpu"
            Name of a torch device.
        random_state : int, Generator, RandomState or None
            Seed of the held-out samples and the batches. With an integer, the result on a CPU is reproducible.
        progress : Progress, optional
            Receives the steps and the held-out loss.

        Returns
        -------
        Self
            Itself.

        Raises
        ------
        UsageError
            If torch is not installed, shapes do not fit, arrays hold NaN or infinity, arguments are missing, or
            numbers are out of range.
        """
        batch_size = checked("batch_size", batch_size, Integer(low=1))
        n_batches = checked("n_batches", n_batches, Integer(low=0))
        learning_rate = checked("learning_rate", learning_rate, Real(above=0))
        held_out_fraction = checked("held_out_fraction", held_out_fraction, Real(low=0, below=1))
        keep_zeros = checked("keep_zeros", keep_zeros, Boolean())
        loss = checked("loss", loss, Choice("codes", "energy"))
        random_state = checked("random_state", random_state, Seed())
        device = checked("device", device, Text())
        self._check_started()
        with needs_torch(f"training {type(self).__name__} needs torch"):
            from striate.encoders._torch import train_encoder
        learned = train_encoder(
            self, signals, codes, loss=loss, components=components, sparsity=sparsity, batch_size=batch_size,
            n_batches=n_batches, learning_rate=learning_rate, held_out_fraction=held_out_fraction,
            keep_zeros=keep_zeros, device=device, random_state=random_state, progress=progress,
        )  # fmt: skip
        return self.set_arrays(**learned)
