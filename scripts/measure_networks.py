"""What networks cost: parameters, multiply-adds, halo; and with --train, time and memory of a training step.

    python scripts/measure_networks.py --pairs first
    python scripts/measure_networks.py --train --pairs all --models fcn8s unet --encoders vgg16 resnet18

A training step has a batch of 2, forward and backward and SGD; the sizes 1x1 and 37x53 are run first and must
come out as they went in. Each network runs in a process of its own, whose peak memory is the one shown.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from downup.networks import ENCODERS, MODELS, NetworkConfig, allowed_encoders, allowed_pairs, build

CLASSES = 21
SIZE = 224
SMALL_SIZES = ((1, 1), (37, 53))
BATCH = 2


def configurations(arguments: argparse.Namespace) -> Iterator[NetworkConfig]:
    for model in arguments.models:
        default = NetworkConfig(model=model, classes=CLASSES).encoder_name
        chosen = [default] if arguments.encoders == ["default"] else arguments.encoders
        for encoder in (name for name in allowed_encoders(model) if name in chosen):
            own = NetworkConfig(model=model, encoder=encoder, classes=CLASSES).pair
            for down, up in allowed_pairs(model, encoder) if arguments.pairs == "all" else [own]:
                yield NetworkConfig(
                    model=model, encoder=encoder, down=down, up=up, classes=CLASSES, width=arguments.width
                )


def static_cost(config: NetworkConfig) -> str:
    """Count without computing: on tensors that have a shape and no content."""
    with FakeTensorMode(), torch.no_grad():
        network = build(config).eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, config.in_channels, SIZE, SIZE))
        parameters = sum(parameter.numel() for parameter in network.parameters())
    reach = network.reach()
    multiply_adds = counter.get_total_flops() / 2e9
    return (
        f"{parameters / 1e6:.1f} | {multiply_adds:.1f} | {network.stride} | {max(reach.before, reach.after)}"
    )


def train(config: NetworkConfig, answer: Connection) -> None:
    torch.manual_seed(0)
    network = build(config).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4)
    seconds = 0.0
    for rows, columns in (*SMALL_SIZES, (SIZE, SIZE)):
        pictures = torch.randn(BATCH, config.in_channels, rows, columns)
        truth = torch.randint(CLASSES, (BATCH, rows, columns))
        start = time.perf_counter()
        optimizer.zero_grad()
        scores = network(pictures)
        loss = F.cross_entropy(scores, truth)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        seconds = time.perf_counter() - start
        if scores.shape != (BATCH, CLASSES, rows, columns) or not loss.isfinite():
            raise SystemExit(f"{config}: scores {list(scores.shape)}, loss {loss.item()} at {rows}x{columns}")
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answer.send(f"{seconds:.2f} | {peak_mib:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--encoders", nargs="+", default=["default"], choices=["default", *ENCODERS])
    parser.add_argument("--pairs", default="first", choices=["first", "all"])
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--train", action="store_true")
    arguments = parser.parse_args()
    # A fork after torch's threads have started hangs, so nothing is computed in this process.
    fork = multiprocessing.get_context("fork")
    head = "| model | encoder | down | up | width | parameters (M) | multiply-adds (G) | stride | halo |"
    rule = "|---|---|---|---|---|---|---|---|---|"
    print(head + (" step (s) | peak (MiB) |" if arguments.train else ""))
    print(rule + ("---|---|" if arguments.train else ""))
    for config in configurations(arguments):
        down, up = config.pair
        names = f"{config.model} | {config.encoder} | {down} | {up} | {config.width:g}"
        row = f"| {names} | {static_cost(config)} |"
        if arguments.train:
            mine, theirs = fork.Pipe(duplex=False)
            process = fork.Process(target=train, args=(config, theirs))
            process.start()
            theirs.close()
            try:
                measured = mine.recv()
            except EOFError:
                raise SystemExit(f"{config}: the training step failed") from None
            process.join()
            row += f" {measured} |"
        print(row, flush=True)


if __name__ == "__main__":
    main()
