"""A site's folder of random BIDS-like names: no case of two, and no subject overlooked."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from common.errors import printable
from common.imaging.intake.bids import list_cases
from common.imaging.intake.intake import survey
from common.recipe.task import Task
from tests.random_names import N_FOLDERS, Drawn, NameDrawer, differ

TASK = Task(modalities=("FLAIR", "T1w"))
SUFFIXES = ("FLAIR", "FLAIR", "T1w", "T1w", "mask", None)


def drawn_site(random: Random, root: Path) -> dict[Path, Drawn]:
    root.mkdir()
    drawer = NameDrawer(random, wildness=random.choice((0.0, 0.03, 0.3)))
    drawn = [
        drawer.file(root, suffixes=SUFFIXES, described=False) for _ in range(random.randint(1, 20))
    ]
    for odd in ("sub-77/notes.txt", "sub-78/anat/scan.mgz", "sub-79/func/sub-79_bold.nii.gz"):
        if random.random() < 0.2:
            (root / odd).parent.mkdir(parents=True)
            (root / odd).touch()
    if random.random() < 0.2:
        (root / "sub-80").symlink_to("/nowhere")
    if random.random() < 0.2 and (root / "sub-01").is_dir():
        (root / "sub-81").symlink_to(root / "sub-01")
    return {file.path: file for file in drawn if file is not None}


@pytest.mark.parametrize("seed", range(N_FOLDERS))
def test_no_case_is_of_two_and_every_subject_is_named(tmp_path: Path, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - file names, no secrets
    root = tmp_path / "site"
    drawn = drawn_site(random, root)
    site = list_cases(root, TASK)

    blocked = {finding.case for finding in site.findings if finding.level == "blocking"}
    for case in site.cases:
        images = [drawn[path] for path in case.images.values()]
        others = (case.lesion_mask, case.brain_mask, case.cord_mask)
        masks = [drawn[path] for path in others if path is not None]
        for file in [*images, *masks]:
            assert f"sub-{file.entities['sub']}" == case.subject
            session = {**file.folders, **file.entities}.get("ses")
            assert case.session in (f"ses-{session}", None) or session is None
            assert all(file.entities.get(e, label) == label for e, label in file.folders.items())
        assert not any(file.desc for file in images)
        for mask in masks:
            assert case.name in blocked or any(differ(mask, one) is None for one in images)
        if case.lesion_mask is not None:
            assert drawn[case.lesion_mask].desc == "lesion"

    named = {case.subject for case in site.cases}
    named |= {finding.subject for finding in site.findings if finding.subject is not None}
    folders = [path.name for path in root.iterdir() if path.name.startswith("sub-")]
    assert {printable(n) for n in folders if "." not in n} <= named
    for case in site.cases:
        assert case.name in blocked or set(case.images) == set(TASK.modalities)
    for finding in site.findings:
        str(finding).encode()

    intake = survey(root, task=TASK, thorough=True)
    assert {*(case.name for case in intake.usable), *intake.quarantined} == {
        case.name for case in site.cases
    }
    assert len({case.name for case in site.cases}) == len(site.cases)
    os.fsencode(str(intake.findings)).decode()
