"""The model that comes with LesionFed: makes its data and trains it, one command after the other.

    python -m benchmarks.reference_model --data DATA --work FOLDER [--without-site ljubljana-cs]

--data           a folder with `anatomies` (label maps), `lesion-masks/mni1mm` and `sites` (BIDS)
--work           where phantoms, prepared sites, transplants and the run are kept. Called again, it
                 goes on where it stopped
--without-site   trains without this one and its patients' masks, and judges on it

Training sites: two of phantoms, whose subjects come from four scanners each, one of lesions
transplanted into the lesion-free brains of four real sites, and one of real patients
(`ljubljana-cs`) unless it is left out. Few sites with many subjects each: the more sites share the
steps, the fewer follow each other. One phantom site
validates. `catania` takes part in nothing. Every command is printed before it runs. The recipe,
`reference_model.toml`, is that of trials: no model has been made with it that is good enough.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.phantom.whole_folder import whole_folder

PHANTOM_SITES = {
    "phantoms-a": ("train-1", "train-3", "train-5", "unseen-1"),
    "phantoms-b": ("train-2", "train-4", "train-6", "unseen-2"),
}
"""Training site -> sites of the consortium benchmark that it is made of."""
RECIPE = Path(__file__).with_suffix(".toml")
VALIDATION = "validation-1"
PATIENTS = "ljubljana-cs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthy:
    """A real site with lesion-free tissue: its modalities, and the half without lesions."""

    modalities: str
    side: str


HEALTHY_SITES = {
    "ucl": Healthy(modalities="FLAIR", side="both"),
    "south-carolina": Healthy(modalities="FLAIR,T1w", side="right"),
    "tcga-fg": Healthy(modalities="FLAIR,T1w", side="left"),
    "isles22-philips3t": Healthy(modalities="FLAIR", side="right"),
}
DESCRIPTIONS = ("dataset_description.json", "derivatives/lesions/dataset_description.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is made from what.

    left_out   the site that does not train, and is judged; None: all train
    """

    data: Path
    work: Path
    recipe: str
    subjects: int
    copies: int
    seed: int
    left_out: str | None
    changes: tuple[str, ...]

    @property
    def without_masks(self) -> list[str]:
        """Options that leave out the masks of the patients of the site that is judged."""
        if self.left_out is None:
            return []
        return ["--without-masks", str(self.data / "sites" / self.left_out / "derivatives")]

    @property
    def masks(self) -> list[str]:
        """Options for the real lesion masks."""
        return ["--lesion-masks", str(self.data / "lesion-masks" / "mni1mm"), *self.without_masks]

    def training_sites(self) -> dict[str, Path]:
        """Name -> folder."""
        sites = {name: self.work / "sites" / name for name in (*PHANTOM_SITES, "transplants")}
        if self.left_out != PATIENTS:
            sites[PATIENTS] = self.data / "sites" / PATIENTS
        return sites


def main(argv: Sequence[str] | None = None) -> int:
    """Makes what is missing, trains, and prints where the model is."""
    given = build_parser().parse_args(argv)
    plan = Plan(
        data=given.data.resolve(),
        work=given.work.resolve(),
        recipe=given.recipe,
        subjects=given.subjects,
        copies=given.copies,
        seed=given.seed,
        left_out=given.without_site,
        changes=tuple(given.changes),
    )
    plan.work.mkdir(parents=True, exist_ok=True)
    for made, command in data_commands(plan):
        if not made.exists():
            run(command)
    for name, parts in PHANTOM_SITES.items():
        joined(plan.work / "sites" / name, [plan.work / "phantoms" / part for part in parts])
    transplants = [plan.work / "transplants" / name for name in HEALTHY_SITES]
    joined(plan.work / "sites" / "transplants", transplants)
    folder = plan.work / "run"
    run(training_command(plan, folder))
    print(folder / "model.safetensors")
    return 0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="label maps, masks and sites")
    parser.add_argument("--work", type=Path, required=True, help="everything that is made")
    parser.add_argument("--without-site", choices=[PATIENTS], help="is judged and does not train")
    parser.add_argument("--recipe", default=str(RECIPE), help="name or file")
    parser.add_argument("--subjects", type=int, default=10, help="of a phantom site (default 10)")
    parser.add_argument("--copies", type=int, default=8, help="of a healthy brain (default 8)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    return parser


def data_commands(plan: Plan) -> Iterator[tuple[Path, list[str]]]:
    """Folder that appears complete or not at all, and the command that makes it."""
    seed = ["--seed", str(plan.seed)]
    phantoms = plan.work / "phantoms"
    yield (
        phantoms,
        [
            *("lesionfed", "phantom", "--consortium", "--subjects", str(plan.subjects)),
            *("--anatomies", str(plan.data / "anatomies"), *plan.masks, *seed),
            *("--out", str(phantoms)),
        ],
    )
    for name, site in HEALTHY_SITES.items():
        prepared = plan.work / "prepared" / name
        quoted = ", ".join(f'"{modality}"' for modality in site.modalities.split(","))
        yield (
            prepared / "dataset_description.json",
            [
                *("lesionfed-site", "prepare", str(plan.data / "sites" / name)),
                *("--set", f"task.modalities=[{quoted}]", "--set", 'preprocessing.space="mni152"'),
                *("--out", str(prepared)),
            ],
        )
        out = plan.work / "transplants" / name
        yield (
            out,
            [
                *("lesionfed-site", "transplant", str(prepared), "--side", site.side),
                *("--per-subject", str(plan.copies), "--modalities", site.modalities),
                *(*plan.masks, *seed, "--out", str(out)),
            ],
        )


def training_command(plan: Plan, folder: Path) -> list[str]:
    """Trains into `folder`, or goes on where training stopped."""
    if folder.exists():
        return ["lesionfed", "simulate", "--resume", str(folder)]
    sites = [f"{name}={path}" for name, path in plan.training_sites().items()]
    judged = [] if plan.left_out is None else [plan.left_out]
    return [
        *("lesionfed", "simulate", "--recipe", plan.recipe, "--seed", str(plan.seed)),
        *(word for site in sites for word in ("--site", site)),
        *("--validation", f"{VALIDATION}={plan.work / 'phantoms' / VALIDATION}"),
        *(
            word
            for name in judged
            for word in ("--held-out", f"{name}={plan.data / 'sites' / name}")
        ),
        *(word for change in plan.changes for word in ("--set", change)),
        *("--out", str(folder)),
    ]


def joined(out: Path, parts: Sequence[Path]) -> None:
    """One BIDS site of the subjects of several, none of whose names is used twice."""
    if out.exists():
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    people: list[tuple[str, str]] = []
    with whole_folder(out) as folder:
        for part in parts:
            for subject in sorted(part.glob("sub-*")):
                shutil.copytree(subject, folder / subject.name)
                lesions = Path("derivatives", "lesions", subject.name)
                shutil.copytree(part / lesions, folder / lesions)
            for name in DESCRIPTIONS:
                shutil.copy(part / name, folder / name)
            with (part / "participants.tsv").open(encoding="utf-8", newline="") as table:
                rows = csv.DictReader(table, delimiter="\t")
                people += [(row["participant_id"], row["diagnosis"]) for row in rows]
        lines = ["participant_id\tdiagnosis", *("\t".join(person) for person in people)]
        (folder / "participants.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def run(command: Sequence[str]) -> None:
    """Prints and runs it; CalledProcessError where it fails."""
    print("$", *command, flush=True)
    program = Path(sys.executable).with_name(command[0])
    subprocess.run([str(program), *command[1:]], check=True)  # noqa: S603 # our own commands


if __name__ == "__main__":
    sys.exit(main())
