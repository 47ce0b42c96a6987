"""Two folders of random BIDS-like names: no wrong pair, and every file accounted for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from server.evaluation.mask_pairs import find_pairs
from tests.random_names import N_FOLDERS, Drawn, NameDrawer, differ

ROLES = ("mask", "mask", "pred", "FLAIR", None)


def drawn_folder(random: Random, root: Path) -> dict[Path, Drawn]:
    root.mkdir()
    drawer = NameDrawer(random, wildness=random.choice((0.0, 0.03, 0.3)))
    drawn = [drawer.file(root, suffixes=ROLES) for _ in range(random.randint(1, 14))]
    files = {file.path: file for file in drawn if file is not None}
    if random.random() < 0.1 and (root / "sub-01").is_dir():
        (root / "linked").symlink_to(root / "sub-01")
        files |= {
            root / "linked" / path.relative_to(root / "sub-01"): replace(file, folders={})
            for path, file in list(files.items())
            if path.is_relative_to(root / "sub-01")
        }
    (root / "sub-01").mkdir(exist_ok=True)
    (root / "sub-01" / "circle").symlink_to(root)
    return files


@pytest.mark.parametrize("seed", range(N_FOLDERS))
def test_no_pair_differs_in_an_entity_and_every_file_is_accounted_for(
    tmp_path: Path, seed: int
) -> None:
    random = Random(seed)  # noqa: S311 - file names, no secrets
    ours = drawn_folder(random, tmp_path / "references")
    theirs = drawn_folder(random, tmp_path / "predictions")
    found = find_pairs(tmp_path / "references", tmp_path / "predictions")

    planned = [pair.reference for pair in found.pairs]
    assert sorted([*planned, *found.set_aside]) == sorted(ours)
    assert len({pair.case for pair in found.pairs}) == len(planned)
    used = [pair.prediction for pair in found.pairs if pair.prediction is not None]
    assert sorted([*used, *found.left_over]) == sorted(theirs)

    for pair in found.pairs:
        pair.case.encode()
        reference = ours[pair.reference]
        if pair.prediction is None or pair.failed is not None:
            assert pair.failed is not None
            pair.failed.encode()
            continue
        prediction = theirs[pair.prediction]
        assert differ(reference, prediction) is None
        assert differ(reference, reference) is None
        for file in (reference, prediction):
            assert file.desc not in ("brain", "cord")
            assert file.path.name.endswith((".nii", ".nii.gz"))
            assert all(file.entities.get(e, label) == label for e, label in file.folders.items())
        assert {reference.desc, prediction.desc} != {"lesion", "newlesion"}
    for path in found.set_aside:
        beside = [ours[pair.reference] for pair in found.pairs]
        assert any(differ(ours[path], other) is None for other in beside)
