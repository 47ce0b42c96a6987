"""What one round costs the coordinator as sites and model grow: bytes, memory, CPU time.

    python -m benchmarks.scaling [--out scaling.csv]

Every reply takes the way of a real one: a site's update is packed and put into Flower's record,
taken out, unpacked, checked and added to the running mean. Values are synthetic, one thread, no
network. Each size runs in a process of its own, so that its peak memory is its own; the round goes
on from 3 sites to 300, and a row is written at each number.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import platform
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from common.imaging.standardization.template import Template
from common.wire.codec import pack, unpack
from common.wire.field_types import Arrays
from common.wire.flower_record import from_record, to_record
from common.wire.messages import Assignment, SiteUpdate, TrainRequest
from server.aggregation.weighted_mean import WeightedMean

SIZES_MB = (1, 10, 60)
"""Of all parameters, as float32."""
N_SITES = (3, 10, 30, 100, 300)
N_ARRAYS = 40
LIMIT_BYTES = 2 << 30
MIB = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """One round of so many sites, up to the mean.

    sent_mb, received_mb   through the coordinator's network, 10^6 bytes
    pack_s                 CPU time of making one site's request
    reply_s                 CPU time of taking in one site's reply: record, unpack, check, add
    round_s                CPU time of the whole round
    peak_mib               of the process; `base_mib` of it was there before the first reply
    """

    parameters_mb: int
    n_sites: int
    sent_mb: float
    received_mb: float
    pack_s: float
    reply_s: float
    round_s: float
    base_mib: int
    peak_mib: int


def main(argv: Sequence[str] | None = None) -> int:
    """0 once every size is measured and printed."""
    options = build_parser().parse_args(argv)
    print(f"{platform.machine()}, Python {platform.python_version()}, one thread")
    costs = []
    for size_mb in options.sizes:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            costs += process.submit(costs_of, size_mb, tuple(options.sites)).result()
    print(" ".join(f"{field.name:>13}" for field in fields(Cost)))
    for cost in costs:
        print(" ".join(f"{value:13.4g}" for value in asdict(cost).values()))
    if options.out is not None:
        write_csv(options.out, costs)
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The options, with units and defaults."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, help="a CSV of the same figures")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=SIZES_MB, help="parameters in MB (%(default)s)"
    )
    parser.add_argument(
        "--sites", type=int, nargs="+", default=N_SITES, help="numbers of sites (%(default)s)"
    )
    return parser


def costs_of(size_mb: int, n_sites: tuple[int, ...]) -> list[Cost]:
    """A row for each number of sites, in one growing round."""
    generator = np.random.default_rng(0)
    parameters = synthetic(size_mb, generator)
    update = to_record(pack(an_update(synthetic(size_mb, generator))))
    request = a_request(parameters)
    started = time.process_time()
    sent = pack(request).size_bytes
    pack_s = time.process_time() - started
    base_mib = peak_mib()

    mean = WeightedMean(parameters)
    rows, reply_total_s, received = [], 0.0, 0
    for site in range(1, max(n_sites) + 1):
        started = time.process_time()
        packed = from_record(update, limit_bytes=LIMIT_BYTES)
        reply = unpack(packed, SiteUpdate)
        mean.accumulate(f"site-{site}", reply.change, float(reply.n_cases))
        reply_total_s += time.process_time() - started
        received += packed.size_bytes
        if site in n_sites:
            rows.append(
                Cost(
                    parameters_mb=size_mb,
                    n_sites=site,
                    sent_mb=round(site * sent / 1e6, 1),
                    received_mb=round(received / 1e6, 1),
                    pack_s=round(pack_s, 4),
                    reply_s=round(reply_total_s / site, 4),
                    round_s=round(site * pack_s + reply_total_s, 2),
                    base_mib=base_mib,
                    peak_mib=peak_mib(),
                )
            )
    mean.result()
    return rows


def synthetic(size_mb: int, generator: np.random.Generator) -> Arrays:
    """So many MB of float32 in `N_ARRAYS` arrays, as a network's layers are."""
    n_values = size_mb * 10**6 // 4 // N_ARRAYS
    return {
        f"network.layer-{number}": generator.standard_normal(n_values, dtype=np.float32)
        for number in range(N_ARRAYS)
    }


def a_request(parameters: Arrays) -> TrainRequest:
    assignment = Assignment(
        run="scaling",
        phase="training",
        round_index=1,
        recipe="{}",
        code_digest="0" * 64,
        site="site-1",
        site_index=0,
        n_sites=1,
        exchange_id="0" * 32,
    )
    template: Template = {"FLAIR": (0.6, 1.0, 1.3)}
    return TrainRequest(assignment=assignment, template=template, parameters=parameters)


def an_update(change: Arrays) -> SiteUpdate:
    return SiteUpdate(
        n_cases=7,
        lesion_volume_ml=12.0,
        loss=0.5,
        segmentation_loss=0.5,
        site_loss=None,
        estimated_lesion_f1=None,
        true_lesion_f1=None,
        validation_dice=None,
        n_validation_cases=0,
        wall_s=60.0,
        change=change,
    )


def peak_mib() -> int:
    """The most memory this process has held so far; Linux counts it in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // MIB


def write_csv(path: Path, costs: Sequence[Cost]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([list(header()), *(asdict(cost).values() for cost in costs)])


def header() -> Iterator[str]:
    return (field.name for field in fields(Cost))


if __name__ == "__main__":
    sys.exit(main())
