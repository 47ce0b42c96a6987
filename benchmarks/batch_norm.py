"""Four ways to give a federated network norms for an unseen site, judged there.

    python -m benchmarks.batch_norm RECIPE --site NAME=PATH ... --held-out NAME=PATH ... --out OUT
        [--seeds 0,1,2] [--batches 20] [--set KEY=VALUE ...]

RECIPE   galassi2019 or fenneteau2021, whose networks have batch norm, at `--scale small`
OUT      what is finished there is not done again; a run that was cut off continues

averaged        running means and variances are averaged over the sites, as any parameter
between-sites   the variance between sites is added: what LesionFed does (docs/adr/0037)
recalibrated    the same network; after the last round each site measures the statistics anew on
                `--batches` batches of its training patches, and all are pooled. Source: Wu and
                Johnson 2021, arXiv:2105.07576 ("precise" batch norm), which does not federate
group-norm      no statistics at all: `network.norm = "group"`, trained in the same way

Prints Dice and lesion F1 at the recipe's threshold, mean and standard deviation over the seeds of
the mean over the held-out cases that define it, and writes them as OUT/batch_norm.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from client.phases.site_cases import own_cases
from client.site.settings import read_site
from common.arrays import IndexArray
from common.learning.hard_negatives import hard_negatives, random_negatives
from common.learning.model import differences, new_network, set_stage
from common.learning.networks.cascade import Cascade
from common.learning.networks.parameters import load_parameters, parameters_of
from common.learning.sampling.labelled_case import LabelledCase
from common.learning.sampling.registry import build_sampler
from common.model_file import Model, read_model
from common.recipe.network import CascadeSettings
from common.recipe.recipe import Recipe, load_recipe
from common.seeds import derived_seed
from common.wire.field_types import Arrays, Stage
from server.aggregation.apply_update import apply_update
from server.aggregation.registry import AGGREGATIONS
from server.aggregation.weighted_mean import WeightedMean
from server.cli.options import named_folders
from server.evaluation.evaluate import evaluate
from server.evaluation.site_summary import defined, spread
from server.events.history import read_run
from server.run.run_folder import RunFolder
from server.simulate import Folders, lay_out, simulate

ROWS = ("averaged", "between-sites", "recalibrated", "group-norm")
METRICS = ("dice", "lesion_f1")

Scores = Mapping[str, float | None]


class AveragedStatistics(WeightedMean):
    """The weighted mean without the variance between sites, as it was before ADR 0037."""

    def __init__(self, like: Arrays) -> None:
        super().__init__(like)
        self._between_sites = {}


def main(argv: Sequence[str] | None = None) -> int:
    """Trains, judges and prints; returns 0."""
    given = build_parser().parse_args(argv)
    sites = named_folders(given.site, option="--site")
    held_out = named_folders(given.held_out, option="--held-out")
    scores: dict[str, list[Scores]] = {row: [] for row in ROWS}
    for seed in map(int, given.seeds.split(",")):
        recipe = load_recipe(given.recipe, scale="small", overrides=[*given.set, f"seed={seed}"])
        for row in ROWS:
            folder = given.out / f"seed-{seed}"
            scores[row].append(
                scores_of(
                    row, folder, recipe, sites=sites, held_out=held_out, n_batches=given.batches
                )
            )
    show(scores, given.out)
    return 0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recipe", choices=("galassi2019", "fenneteau2021"))
    parser.add_argument("--site", action="append", required=True, metavar="NAME=PATH")
    parser.add_argument("--held-out", action="append", required=True, metavar="NAME=PATH")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", default="0", help="such as 0,1,2 (0)")
    parser.add_argument("--batches", type=int, default=20, help="of each site to recalibrate (20)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    return parser


def scores_of(
    row: str, folder: Path, recipe: Recipe, *, sites: Folders, held_out: Folders, n_batches: int
) -> Scores:
    """Metric -> mean over the held-out cases, of one row and seed; kept in the folder."""
    file = folder / f"{row}.json"
    if not file.exists():
        model, run = trained(row, folder, recipe, sites=sites, held_out=held_out)
        if row == "recalibrated":
            model = recalibrated(model, run, n_batches=n_batches)
        rows = evaluate(
            model, held_out, out=folder / f"{row}-judged", store=run.prepared, images=False
        )
        cases = [case for of_site in rows.values() for case in of_site]
        means = {metric: spread(defined(cases, metric)).mean for metric in METRICS}
        file.write_text(json.dumps(means), encoding="utf-8")
    found: Scores = json.loads(file.read_text(encoding="utf-8"))
    return found


def trained(
    row: str, folder: Path, recipe: Recipe, *, sites: Folders, held_out: Folders
) -> tuple[Model, RunFolder]:
    """The row's model as its training left it, and the run; of `recalibrated` that before it."""
    run = RunFolder(folder / ("between-sites" if row == "recalibrated" else row))
    if row == "group-norm":
        network = recipe.network.model_copy(update={"norm": "group"})
        recipe = recipe.model_copy(update={"network": network})
    if not run.path.exists():
        lay_out(run, recipe, sites=sites, unseen=held_out)
    if not run.model_file.exists() or read_run(run.events_file).finished is None:
        with aggregated_as(row):
            simulate(run, images=False)
    return read_model(run.model_file), run


def aggregated_as(row: str) -> AbstractContextManager[object]:
    """The coordinator's weighted mean is the old one inside, for the row `averaged`."""
    if row != "averaged":
        return nullcontext()
    return patch.dict(AGGREGATIONS, {"weighted-mean": AveragedStatistics})


def recalibrated(model: Model, run: RunFolder, *, n_batches: int) -> Model:
    """The model with the statistics of `n_batches` batches of each training site, pooled.

    Each batch counts by its site's share of the cases; the variance between batches is in it as
    that between sites. Dropout is off, as at prediction. Of a cascade the second network's batches
    follow from the first network as recalibrated.
    """
    recipe = model.recipe
    torch.set_num_threads(recipe.compute.threads)
    stages: tuple[Stage, ...] = (
        ("first", "second") if isinstance(recipe.network, CascadeSettings) else ("whole",)
    )
    network = new_network(recipe)
    load_parameters(network, model.parameters)
    for stage in stages:
        set_stage(network, stage)
        start = parameters_of(network)
        aggregate = WeightedMean(start)
        for site in run.consortium().sites:
            settings = read_site(run.path / "sites" / site.name / "site.toml")
            cases = own_cases(settings, recipe, model.template, run=run.consortium().run).training
            seed = derived_seed(recipe.seed, "recalibration", site.name, stage)
            for change in changes(network, cases, recipe, stage, n_batches=n_batches, seed=seed):
                aggregate.accumulate(site.name, change, len(cases) / n_batches)
            load_parameters(network, start)
        load_parameters(network, apply_update(start, aggregate.result()))
    return dataclasses.replace(model, parameters=parameters_of(network))


def changes(
    network: nn.Module,
    cases: Sequence[LabelledCase],
    recipe: Recipe,
    stage: Stage,
    *,
    n_batches: int,
    seed: int,
) -> list[Arrays]:
    """Statistics of each batch minus those that the network began with."""
    start = parameters_of(network)
    negatives = negatives_of(network, cases, recipe, stage)
    sampler = build_sampler(cases, recipe, negatives=negatives)
    random = np.random.default_rng(seed)
    network.eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm3d):
            layer.train().momentum = 1.0  # the statistics are then those of one batch
    found = []
    with torch.inference_mode():
        for _ in range(n_batches):
            network(torch.from_numpy(sampler.draw_batch(recipe.sampling.batch_size, random).images))
            found.append(differences(parameters_of(network), start))
    return found


def negatives_of(
    network: nn.Module, cases: Sequence[LabelledCase], recipe: Recipe, stage: Stage
) -> list[IndexArray]:
    """For a cascade the voxels that its stage trains with; nothing for other networks."""
    settings = recipe.network
    if not isinstance(network, Cascade) or not isinstance(settings, CascadeSettings):
        return []
    if stage == "first":
        return [random_negatives(case, above=settings.candidates_above) for case in cases]
    return [hard_negatives(network.first, case, settings) for case in cases]


def show(scores: Mapping[str, Sequence[Scores]], out: Path) -> None:
    """Prints a line a row, and writes the same figures as JSON."""
    table: dict[str, dict[str, object]] = {}
    print(f"{'norms':16} {'Dice':>16} {'lesion F1':>16}")
    for row, of_seeds in scores.items():
        table[row] = {metric: [score[metric] for score in of_seeds] for metric in METRICS}
        print(f"{row:16} " + " ".join(f"{over_seeds(of_seeds, m):>16}" for m in METRICS))
    (out / "batch_norm.json").write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


def over_seeds(scores: Sequence[Scores], metric: str) -> str:
    values = [value for score in scores if (value := score[metric]) is not None]
    if not values:
        return "undefined"
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"


if __name__ == "__main__":
    raise SystemExit(main())
