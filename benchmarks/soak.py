"""2,000 rounds of a tiny model over 8 sites in one process: does anything grow?

    python -m benchmarks.soak --out build/soak [--rounds 2000] [--minutes 15]

The real ServerApp and ClientApp on toy hospitals, in the inline engine, so that coordinator and
sites are measured together. Every 50 rounds a line goes to OUT/soak.csv: memory and open
descriptors of the process, size of the run folder and of the sites' own. Called again with the same
OUT it goes on from the run's checkpoint; a new process starts a new stretch in the table.

Ends with the growth after warm-up, and 0 where memory and descriptors of every stretch grew by 5 %
at most, 1 where not, 2 where no stretch was long enough to say. Growth compares the mean of the
second and of the last quarter of a stretch: the first quarter is warm-up.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import mean

from common.recipe.recipe import Recipe, load_recipe
from server.events.run_event import RunEvent
from server.events.schema import CheckpointSaved
from server.run.run_folder import RunFolder
from server.simulate import lay_out, simulate
from tests.toy_sites import write_site

N_SITES = 8
EVERY = 50
"""Rounds from one line of the table to the next."""
LIMIT = 0.05
MIN_LINES = 8
"""Fewer lines in a stretch say nothing about growth."""
TINY = (
    "network.widths=[2, 2, 2, 2]",
    "network.first_stride=1",
    "sampling.patch_shape=[32, 16, 16]",
    "sampling.batch_size=1",
    "optimizer.steps=1",
    "loss.site.name='none'",
    "federation.site_validation_share=0",
    "inference.threshold_from='fixed'",
    "compute.threads=1",
)


class OutOfTime(KeyboardInterrupt):
    """The minutes are over: the run stops, and goes on when called again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One moment of the soak.

    process     counts the processes that have carried the run, from 1
    round       training rounds finished
    wall_s      since this process began
    rss_mib     memory held
    n_open      file descriptors
    run_mib     the run folder: events, checkpoints
    sites_mib   the sites' work folders
    """

    process: int
    round: int
    wall_s: float
    rss_mib: float
    n_open: int
    run_mib: float
    sites_mib: float


class Recorder:
    """Writes a line at every 50th training round; stops the run when the time is up."""

    def __init__(self, table: Path, folder: RunFolder, *, seconds: float) -> None:
        earlier = read_table(table)
        self._process = 1 + (earlier[-1].process if earlier else 0)
        self._table = table
        self._folder = folder
        self._seconds = seconds
        self._started = time.monotonic()
        if not earlier:
            self._append([field.name for field in fields(Line)])

    def __call__(self, event: RunEvent) -> None:
        if not isinstance(event, CheckpointSaved) or event.phase != "training":
            return
        wall_s = time.monotonic() - self._started
        if event.round > 0 and event.round % EVERY == 0:
            self._append(list(asdict(self._line(event.round, wall_s)).values()))
        if wall_s > self._seconds:
            raise OutOfTime

    def _line(self, round_index: int, wall_s: float) -> Line:
        run, sites = self._folder.path, self._folder.path / "sites"
        sites_mib = size_mib(sites)
        return Line(
            process=self._process,
            round=round_index,
            wall_s=round(wall_s, 1),
            rss_mib=round(rss_mib(), 2),
            n_open=len(os.listdir("/proc/self/fd")),
            run_mib=round(size_mib(run) - sites_mib, 3),
            sites_mib=round(sites_mib, 3),
        )

    def _append(self, values: Sequence[object]) -> None:
        with self._table.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(values)


def main(argv: Sequence[str] | None = None) -> int:
    """0 flat, 1 grew, 2 too short to say."""
    options = build_parser().parse_args(argv)
    table = options.out / "soak.csv"
    folder = RunFolder(options.out / "run")
    if not folder.recipe_file.exists():
        options.out.mkdir(parents=True, exist_ok=True)
        lay_out(folder, tiny(options.rounds), sites=hospitals(options.out / "hospitals"))
    started = time.monotonic()
    try:
        recorder = Recorder(table, folder, seconds=60 * options.minutes)
        simulate(folder, images=False, listener=recorder)
    except OutOfTime:
        print(f"stopped after {options.minutes:g} minutes; the same command goes on")
    lines = read_table(table)
    print(f"{time.monotonic() - started:.0f} s, {lines[-1].round if lines else 0} rounds in all")
    return show_growth(lines)


def build_parser() -> argparse.ArgumentParser:
    """The options, with units and defaults."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the soak; kept")
    parser.add_argument("--rounds", type=int, default=2000, help="in all (%(default)s)")
    parser.add_argument(
        "--minutes", type=float, default=15.0, help="at most in this call (%(default)s)"
    )
    return parser


def tiny(n_rounds: int) -> Recipe:
    return load_recipe(
        "default",
        overrides=[
            *TINY,
            f"federation.rounds={n_rounds}",
            f"federation.evaluate_every={n_rounds}",
        ],
    )


def hospitals(base: Path) -> Mapping[str, Path]:
    """Name -> BIDS folder of a toy hospital with one subject."""
    names = [f"site-{number}" for number in range(1, N_SITES + 1)]
    return {
        name: write_site(base / name, name=name, seed=seed, label=name, n_subjects=1).parent
        / "bids"
        for seed, name in enumerate(names)
    }


def show_growth(lines: Sequence[Line]) -> int:
    """Prints each stretch's growth after warm-up and returns the exit code."""
    codes = []
    for process in sorted({line.process for line in lines}):
        stretch = [line for line in lines if line.process == process]
        if len(stretch) < MIN_LINES:
            print(f"process {process}: {len(stretch)} lines, too few to say")
            continue
        memory = growth([line.rss_mib for line in stretch])
        descriptors = growth([float(line.n_open) for line in stretch])
        per_round_kib = 1024 * (stretch[-1].run_mib - stretch[0].run_mib)
        per_round_kib /= stretch[-1].round - stretch[0].round
        print(
            f"process {process}, rounds {stretch[0].round} to {stretch[-1].round}: "
            f"memory {memory:+.1%} ({stretch[-1].rss_mib:.0f} MiB), "
            f"descriptors {descriptors:+.1%} ({stretch[-1].n_open}), "
            f"run folder {per_round_kib:+.2f} KiB a round"
        )
        codes.append(int(memory > LIMIT or descriptors > LIMIT))
    return max(codes, default=2)


def growth(values: Sequence[float]) -> float:
    """Mean of the last quarter over mean of the second, less 1."""
    quarter = len(values) // 4
    return mean(values[-quarter:]) / mean(values[quarter : 2 * quarter]) - 1


def read_table(path: Path) -> list[Line]:
    """The lines so far; none where there is no table."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Line(
                process=int(row["process"]),
                round=int(row["round"]),
                wall_s=float(row["wall_s"]),
                rss_mib=float(row["rss_mib"]),
                n_open=int(row["n_open"]),
                run_mib=float(row["run_mib"]),
                sites_mib=float(row["sites_mib"]),
            )
            for row in csv.DictReader(file)
        ]


def rss_mib() -> float:
    """Memory this process holds now."""
    n_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return n_pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def size_mib(folder: Path) -> float:
    """Of all files under it."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / (1 << 20)


if __name__ == "__main__":
    sys.exit(main())
