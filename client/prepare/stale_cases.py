"""Cases removed from a prepared folder, put where training does not read them.

OUT/.left-out/sub-01[_ses-01]/anat    what an earlier run made of other files, or by other steps

Intake does not look into hidden folders.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable
from pathlib import Path

from client.prepare.derivatives import LEFT_OUT, case_folder, written_to
from common.imaging.intake.usable_case import UsableCase


def stale_cases(out: Path, current: Iterable[UsableCase]) -> dict[str, Path]:
    """Name -> folder of each case under `out` that is none of `current`, by name."""
    wanted = {case_folder(out, case) for case in current}
    there = [path for pattern in ("sub-*/anat", "sub-*/ses-*/anat") for path in out.glob(pattern)]
    stale = {"_".join(path.relative_to(out).parts[:-1]): path for path in set(there) - wanted}
    return dict(sorted(stale.items()))


def move_aside(out: Path, *, current: Iterable[UsableCase]) -> tuple[str, ...]:
    """Names of the cases under `out` that are none of `current`: moved to the hidden folder.

    One that was moved there earlier goes. SiteDataError where the disk refuses.
    """
    stale = stale_cases(out, current)
    for name, folder in stale.items():
        aside = out / LEFT_OUT / name
        with written_to(folder):
            remove_aside(out, name)
            aside.mkdir(parents=True)
            folder.rename(aside / folder.name)
        for parent in folder.parents[: len(folder.relative_to(out).parts) - 1]:
            with contextlib.suppress(OSError):  # it still holds another session
                parent.rmdir()
    return tuple(stale)


def remove_aside(out: Path, name: str) -> None:
    """Removes what was moved aside of a case, since it has been made again."""
    if (aside := out / LEFT_OUT / name).exists():
        shutil.rmtree(aside)
    with contextlib.suppress(OSError):  # it still holds another case, or is not there
        aside.parent.rmdir()
