"""200 rounds of a tiny model over 8 sites on real processes: does anything grow?

    python -m benchmarks.soak_hosts --out build/soak-hosts [--rounds 200] [--minutes 60]

One coordinator behind nginx and eight sites, a network namespace each, with TLS and node keys, set
up and run by the commands that a hospital types; needs root, nginx and nftables. Every 10 rounds a
line goes to OUT/soak.csv: for each kind of process its memory, over all of that kind (shared pages
counted once, as PSS), and its open descriptors; the size of the SuperLink's database, of the
logs, and of the sites' work folders.

Ends with the growth after warm-up (see benchmarks/soak.py), and 0 where memory, descriptors and
database grew by 5 % at most, 1 where not, 2 where the run did not complete or had too few lines.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.soak import LIMIT, MIN_LINES, TINY, growth, size_mib
from server.run.run_folder import RunFolder
from tests.hosts.consortium import COORDINATOR, HostedConsortium, events_of
from tests.hosts.namespaces import why_not

SITES = tuple(f"site-{number}" for number in range(1, 9))
EVERY = 10
"""Rounds from one line of the table to the next."""
KINDS = {
    "superlink": COORDINATOR,
    "superexec": COORDINATOR,
    "serverapp": COORDINATOR,
    "serve": COORDINATOR,
    "nginx": COORDINATOR,
    "supernode": "site",
    "standby": "site",
    "site-run": "site",
}
"""Kind of process that lives for the whole run -> where; ClientApps live for one message."""

Line = dict[str, float]


def main(argv: Sequence[str] | None = None) -> int:
    """0 flat, 1 grew, 2 not completed, or too short to say."""
    options = build_parser().parse_args(argv)
    reason = why_not()
    if reason is not None:
        print(f"this needs hosts of its own: {reason}")
        return 2
    folder = options.out / "consortium"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with HostedConsortium(folder.resolve(), sites=SITES) as consortium:
        lines = soak(consortium, options.out / "soak.csv", options.rounds, 60 * options.minutes)
        finished = consortium.status("soak").status == "completed"
    code = show_growth(lines)
    return code if finished else max(code, 2)


def build_parser() -> argparse.ArgumentParser:
    """The options, with units and defaults."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the soak; made anew")
    parser.add_argument("--rounds", type=int, default=200, help="of training (%(default)s)")
    parser.add_argument("--minutes", type=float, default=60.0, help="at most (%(default)s)")
    return parser


def soak(consortium: HostedConsortium, table: Path, n_rounds: int, seconds: float) -> list[Line]:
    """A line every 10 rounds, until the run has ended or the time is up."""
    rounds = (f"federation.rounds={n_rounds}", f"federation.evaluate_every={n_rounds}")
    patience = ("federation.wait_for_sites_s=100", "federation.round_deadline_s=300")
    run = consortium.run("soak", *rounds, *patience, toy=TINY)
    started, lines = time.monotonic(), list[Line]()
    while time.monotonic() - started < seconds:
        consortium.tend()
        n_done = rounds_done(run)
        if n_done >= EVERY * (len(lines) + 1):
            wall_s = round(time.monotonic() - started, 1)
            lines.append({"round": n_done, "wall_s": wall_s, **look_at(consortium)})
            write_table(table, lines)
            print(f"round {n_done}, {wall_s:.0f} s", flush=True)
        if consortium.status("soak").status in ("completed", "failed", "stopped"):
            break
        time.sleep(1.0)
    print(f"{consortium.status('soak').status} after {rounds_done(run)} rounds")
    return lines


def rounds_done(run: RunFolder) -> int:
    """Training rounds that are finished."""
    return sum(is_training_round(event) for event in events_of(run))


def is_training_round(event: Mapping[str, Any]) -> bool:
    """Whether the event says that a round of training is over."""
    return (event["event"], event.get("phase")) == ("round-finished", "training")


def look_at(consortium: HostedConsortium) -> Line:
    """Memory (MiB) and descriptors of each kind of process, and sizes on disk (MiB), now."""
    line: Line = {}
    for kind, where in KINDS.items():
        hosts = (COORDINATOR,) if where == COORDINATOR else SITES
        pids = [pid for host in hosts for pid in consortium.processes(kind, host)]
        line[f"{kind}_mib"] = round(sum(map(pss_mib, pids)), 2)
        line[f"{kind}_open"] = sum(map(n_open, pids))
    federation = consortium.federation
    database = federation.path.glob("state.db*")
    line["database_mib"] = round(sum(file.stat().st_size for file in database) / (1 << 20), 3)
    line["coordinator_logs_mib"] = round(size_mib(federation.logs), 3)
    line["run_mib"] = round(size_mib(federation.runs), 3)
    line["site_logs_mib"] = round(sum(size_mib(consortium.site(s).logs) for s in SITES), 3)
    line["sites_work_mib"] = round(
        sum(size_mib(consortium.site(s).path / "work") for s in SITES), 3
    )
    return line


def pss_mib(pid: int) -> float:
    """Memory of a process, with pages that others hold too counted in part; 0 once it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0.0
    return next(int(row.split()[1]) for row in text.splitlines() if row.startswith("Pss:")) / 1024


def n_open(pid: int) -> int:
    """Descriptors that the process has open; 0 once it has ended."""
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return 0


def write_table(table: Path, lines: Sequence[Line]) -> None:
    """All lines so far, as CSV."""
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


def show_growth(lines: Sequence[Line]) -> int:
    """Prints each column's growth after warm-up, and returns the exit code.

    Logs, the run's record and the sites' work are shown and not judged: they are what a run leaves.
    """
    if len(lines) < MIN_LINES:
        print(f"{len(lines)} lines, too few to say")
        return 2
    grew = []
    for column in list(lines[0])[2:]:
        values = [line[column] for line in lines]
        judged = column.endswith("_open") or column.removesuffix("_mib") in (*KINDS, "database")
        if not all(values):  # not there at some moment: nothing to compare with
            grew += [f"{column} (not there at some moment)"] if judged else []
            continue
        found = growth(values)
        print(f"{column:22} {values[0]:10.2f} {values[-1]:10.2f} {found:+8.1%}")
        if judged and found > LIMIT:
            grew.append(column)
    print(f"grew by more than {LIMIT:.0%}: {', '.join(grew) or 'nothing'}")
    return int(bool(grew))


if __name__ == "__main__":
    sys.exit(main())
