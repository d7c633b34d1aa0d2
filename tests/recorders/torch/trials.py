"""Random trainings, right and with a planted bug: `python -m tests.recorders.torch.trials 200` prints a table of them.

A trial is a net of random layers, an optimiser with random options, and a bug from a random step on. It succeeds where
the first step of the bug is named and, without a bug, where none is.
"""

import sys
import tempfile
import warnings
from collections import Counter
from functools import partial
from typing import Any

import numpy as np
import torch

from service.client import Client
from service.process import service_process
from service.recorders.torch import record_training
from service.settings import Settings
from service.upkeep import migrate
from tests.recorders.torch.trainings import RATE, Task, by_adam, train

nn = torch.nn
IN_ADAM = ("eps inside the root", "no bias correction", "decoupled decay")
IN_LOOP = ("no zero_grad", "clipping", "a frozen layer", "written silently")
BUGS = (None, None, *IN_ADAM, *IN_LOOP, "decay sneaks in", "a schedule off by one", "decay of another kind")


def trial(client: Client, seed: int) -> tuple[str, bool, str]:
    """The bug, whether it was told rightly, and what was said."""
    draw = np.random.default_rng(seed)
    bug, dtype = BUGS[seed % len(BUGS)], (torch.float64, torch.float32)[seed // len(BUGS) % 2]
    count = int(draw.integers(5, 10))
    at = int(draw.integers(3, count + 1))
    said: dict[str, Any] = {}
    if bug == "a schedule off by one":
        said = {"schedule": f"{RATE} * 0.9 ^ (t - 1)"}
        make = partial(torch.optim.SGD, lr=RATE, momentum=float(draw.choice([0.0, 0.9])))
    elif bug == "decay of another kind":
        said, at = {"rule": "AdamW"}, 1
        make = by_adam(None)
    elif bug == "decay sneaks in":
        make = partial(draw.choice([torch.optim.AdamW, torch.optim.SGD]), lr=RATE, weight_decay=0.0)
    elif bug in IN_ADAM:
        make = by_adam(bug, at, lr=float(draw.uniform(0.01, 0.1)))
    else:
        make = optimiser(draw)
    recording = train(partial(record_training, **said), dtype, bug, make, count, at, task(draw, seed))
    assert not recording.notes, recording.notes
    found = client.get_series_verdict(recording.upload(client, name=f"trial {seed}", retain="norms"))
    if bug == "written silently":
        told = found.first_wrong is None and {carry.step for carry in found.broken_carries} == {at}
    elif bug is None:
        told = not found.arose
    else:
        told = found.first_wrong is not None and found.first_wrong.step == at and not found.broken_carries
    return bug or "none", told, f"seed {seed}, {bug} from step {at} of {count}, {dtype}: {found.sentence}"


def optimiser(draw: np.random.Generator) -> Any:
    rate, decay = float(draw.uniform(0.01, 0.1)), float(draw.choice([0.0, 0.1]))
    momentum = float(draw.uniform(0.5, 0.95))
    kinds = (
        partial(torch.optim.SGD, momentum=momentum, nesterov=bool(draw.integers(2))),
        partial(torch.optim.Adam, amsgrad=bool(draw.integers(2))),
        partial(torch.optim.AdamW, betas=(momentum, 0.99)),
        partial(torch.optim.RMSprop, centered=bool(draw.integers(2))),
    )
    return partial(kinds[draw.integers(len(kinds))], lr=rate, weight_decay=decay)


def task(draw: np.random.Generator, seed: int) -> Task:
    size, batch, width = (int(draw.integers(low, high)) for low, high in ((2, 6), (4, 17), (3, 9)))
    norms = [lambda: nn.LayerNorm(width), lambda: nn.BatchNorm1d(width), nn.Identity, lambda: nn.Dropout(0.2)]
    acts = [nn.Tanh, nn.ReLU, nn.GELU, nn.SiLU, nn.Softplus]
    picked = [(draw.choice(acts), draw.choice(norms)) for _ in range(draw.integers(1, 4))]
    classes = bool(draw.integers(2))

    def net() -> Any:
        widths = [size, *[width] * len(picked)]
        layers = [
            layer for before, (act, norm) in zip(widths, picked, strict=False)
            for layer in (nn.Linear(before, width), norm(), act())
        ]  # fmt: skip
        return nn.Sequential(*layers, nn.Linear(width, 3))

    def data(generator: Any) -> tuple[Any, Any]:
        x = torch.randn(batch, size, generator=generator, dtype=torch.float64)
        if classes:
            return x, torch.randint(0, 3, (batch,), generator=generator)
        return x, torch.randn(batch, 3, generator=generator, dtype=torch.float64)

    return Task(net, data, nn.functional.cross_entropy if classes else nn.functional.mse_loss, seed)


def main(count: int) -> None:
    warnings.simplefilter("ignore")
    settings = Settings(f"sqlite:///{tempfile.mkdtemp()}/gradbook.db")
    migrate(settings)
    tried: Counter[str] = Counter()
    right: Counter[str] = Counter()
    with service_process(settings.database_url) as url, Client(url, timeout=300) as client:
        for seed in range(count):
            bug, told, sentence = trial(client, seed)
            tried[bug] += 1
            right[bug] += told
            if not told:
                print(sentence, flush=True)
    for bug, number in tried.items():
        print(f"{bug:24} {right[bug]:4} of {number}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
