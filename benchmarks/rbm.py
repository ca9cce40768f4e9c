"""Boltzmann machines of digits, beside scikit-learn's: python benchmarks/rbm.py.

500 units on MNIST, each pixel drawn once with its gray level as its probability: 50,000 digits to learn from, 10,000 to
choose settings by, and the test digits. Log-likelihoods are estimated by annealed importance sampling, striate's for
both. The question is how long each takes to the log-likelihood that BernoulliRBM has after 10 epochs at its best batch
and rate.

``--choose`` finds the best settings of both on the validation digits, untimed, and adds them to the results file; the
comparison itself reads them there. A choice that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from _harness import Harness
from sklearn.neural_network import BernoulliRBM

from striate import threads
from striate.errors import UsageError
from striate.images import as_images
from striate.images.datasets import data_folder
from striate.learning import RBM, annealed_log_partition

N_UNITS, N_EPOCHS = 500, 10
N_TRAIN = 50_000
CHOICE = "the best settings of both, by the log-likelihood of validation digits"
THEIRS = [{"batch_size": batch, "learning_rate": rate} for batch, rate in product((500, 100, 10), (0.01, 0.05, 0.1))]
OURS = [
    {"persistent": True, "batch_size": 100, "learning_rate": rate, "momentum": 0.0, "n_epochs": n_epochs}
    for n_epochs, rate in product((1, 2, 4, 6, 8), (0.1, 0.2))
]
MARGIN = 1.0  # nats by which ours must be above theirs on validation digits: the error of the estimates
GOAL = 1 / 3  # of their time
ROUGH, FINE = 2000, 6000  # temperatures of an estimate
SURE = 0.5  # nats: the error of a rough estimate that is good enough


class Digits(NamedTuple):
    """Binary digits, float32 (n, 784)."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def main() -> None:
    """Choose settings, or compare at those that were chosen."""
    harness = Harness(
        "rbm", "Time to the log-likelihood of BernoulliRBM's ten epochs on MNIST.", repetitions=1, options=options
    )
    digits = load_mnist_digits()
    chosen = next((row for row in harness.all_rows() if row["workload"] == CHOICE), {"workload": CHOICE})
    if harness.options.choose:
        choose(harness, chosen, digits)
    elif "ours" not in chosen:
        raise UsageError("no settings were chosen yet; run python benchmarks/rbm.py --choose once")
    else:
        compare(harness, chosen, digits)
    harness.finish()


def options(parser: argparse.ArgumentParser) -> None:
    """Add what this benchmark alone takes; what was chosen before is kept."""
    parser.add_argument("--choose", action="store_true", help="choose settings (an hour), and time nothing")
    parser.set_defaults(keep=True)


def load_mnist_digits() -> Digits:
    """Pixels drawn with fixed random numbers."""
    rng = np.random.default_rng(0)
    drawn = []
    for name in ("train", "t10k"):
        images = as_images(data_folder("mnist") / f"{name}-images-idx3-ubyte.gz")
        gray = np.stack([images.read(index).ravel() for index in range(len(images))]).astype(np.float32)
        drawn.append((rng.random(gray.shape, np.float32) < gray).astype(np.float32))
    return Digits(drawn[0][:N_TRAIN], drawn[0][N_TRAIN:], drawn[1])


def learn_theirs(settings: Mapping[str, Any], train: np.ndarray) -> RBM:
    """scikit-learn's machine, in striate's form, whose log-likelihood can be estimated."""
    return in_our_form(BernoulliRBM(N_UNITS, n_iter=N_EPOCHS, random_state=0, **settings).fit(train))


def in_our_form(theirs: BernoulliRBM) -> RBM:
    """The same distribution."""
    machine = RBM(len(theirs.components_))
    machine.components_ = np.ascontiguousarray(theirs.components_)
    machine.hidden_bias_, machine.visible_bias_ = theirs.intercept_hidden_, theirs.intercept_visible_
    machine.n_features_in_ = machine.components_.shape[1]
    return machine


def learn_ours(settings: Mapping[str, Any], train: np.ndarray) -> RBM:
    """Ours."""
    return RBM(N_UNITS, random_state=0, **settings).fit(train)


def measured(machine: RBM, digits: Digits, rows: np.ndarray, n_temperatures: int) -> dict[str, float]:
    """Mean log-likelihood of some digits, and the standard error that log Z adds.

    Where the error is large (1 is the most that 100 runs can show), a few runs weigh as much as all others, and the
    likelihood comes out too high, by tens of nats: more temperatures bring it down.
    """
    log_z = annealed_log_partition(machine, digits.train, n_temperatures=n_temperatures, random_state=0)
    mean = float(machine.log_likelihood(rows, log_partition=log_z.value).mean())
    return {"log_likelihood": round(mean, 3), "error": round(log_z.error, 3), "temperatures": n_temperatures}


def choose(harness: Harness, chosen: dict[str, Any], digits: Digits) -> None:
    """Fill in what is missing, one setting after the other, and say which are best."""
    if chosen not in harness.rows:
        harness.rows.append(chosen)
    tried: dict[str, list[dict[str, Any]]] = chosen.setdefault("validation", {"scikit-learn": [], "striate": []})
    sides: list[tuple[str, list[dict[str, Any]], Callable[..., RBM]]] = [
        ("scikit-learn", THEIRS, learn_theirs),
        ("striate", OURS, learn_ours),
    ]
    with threads.limit(1):
        for name, candidates, learn in sides:
            for settings in candidates:
                if any(settings.items() <= row.items() for row in tried[name]):
                    continue
                # Ours are in the order of their epochs: more of them than suffice need not be tried.
                if name == "striate" and any(row["n_epochs"] < settings["n_epochs"] for row in sufficient(tried)):
                    break
                machine = learn(settings, digits.train)
                reached = measured(machine, digits, digits.validation, ROUGH)
                tried[name].append({**settings, **reached})
                print(f"  {name}: {tried[name][-1]}", flush=True)
                harness.finish()
            while (leading := doubtful(tried[name])) is not None:
                settings = next(one for one in candidates if one.items() <= leading.items())
                leading |= measured(learn(settings, digits.train), digits, digits.validation, FINE)
                print(f"  {name}, finer: {leading}", flush=True)
                harness.finish()
    chosen["theirs"], chosen["ours"] = best(tried)


def best(tried: Mapping[str, list[dict[str, Any]]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Their most likely machine, and of ours the likeliest of the fewest epochs that suffice, or of all if none do."""
    theirs = max(tried["scikit-learn"], key=lambda row: row["log_likelihood"])
    enough = sufficient(tried)
    fewest = min((row["n_epochs"] for row in enough), default=None)
    ours = [row for row in enough if row["n_epochs"] == fewest] or tried["striate"]
    return theirs, max(ours, key=lambda row: row["log_likelihood"])


def doubtful(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The likeliest, if its estimate should be made finer: rough ones err upwards."""
    leading = max(rows, key=lambda row: row["log_likelihood"])
    return leading if leading["error"] > SURE and leading["temperatures"] < FINE else None


def sufficient(tried: Mapping[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Ours that are likelier than their best by the margin."""
    theirs = max(row["log_likelihood"] for row in tried["scikit-learn"])
    return [row for row in tried["striate"] if row["log_likelihood"] >= theirs + MARGIN]


def compare(harness: Harness, chosen: Mapping[str, Any], digits: Digits) -> None:
    """Both at the settings that were chosen; their log-likelihoods of the test digits are estimated afterwards."""
    theirs, ours = (
        {name: value for name, value in chosen[side].items() if name not in ("log_likelihood", "error", "temperatures")}
        for side in ("theirs", "ours")
    )
    machines: dict[str, RBM] = {}

    def run(name: str, learn: Callable[..., RBM], settings: Mapping[str, Any]) -> None:
        machines[name] = learn(settings, digits.train)

    with threads.limit(1):
        learn_ours({**ours, "n_epochs": 1}, digits.train[:1000])  # kernels compile
        learn_theirs(theirs, digits.train[:1000])
        contestants = {
            "striate": partial(run, "striate", learn_ours, ours),
            "scikit-learn": partial(run, "scikit-learn", learn_theirs, theirs),
        }
        timings = harness.alternate(contestants, warm_up=0)
        reached = {name: measured(machine, digits, digits.test, FINE) for name, machine in machines.items()}
    as_likely = reached["striate"]["log_likelihood"] >= reached["scikit-learn"]["log_likelihood"]
    harness.report(
        "500 units, 50,000 digits of MNIST, 1 thread",
        timings,
        reference="scikit-learn",
        goals={"striate": GOAL * timings.median("scikit-learn")},
        settings={"striate": ours, "scikit-learn": {**theirs, "n_epochs": N_EPOCHS}},
        test_log_likelihood=reached,
        as_likely=as_likely,
    )
    for name, row in reached.items():
        print(f"    test log-likelihood of {name}: {row['log_likelihood']:.2f} ± {row['error']:.2f} nats")
    if not as_likely:
        print("    striate's machine is less likely: its time does not count")


if __name__ == "__main__":
    try:
        main()
    except UsageError as error:  # a data set is not there: the message says how to get it
        sys.exit(str(error))
