"""One job, from the site's files to the prepared folder and its quality pages.

Run in a process of its own with `python -m client.prepare.prepare_subject`: a line of JSON in on
standard input, one out on standard output. Standard input stays open as long as the parent lives:
when it closes, the worker ends, so that none works on behind a killed parent.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import signal
import sys
import threading
import time
from typing import Any

import numpy as np
import SimpleITK as sitk

from client.prepare.derivatives import (
    is_written,
    read_prepared,
    remove_leftovers,
    write_case,
)
from client.prepare.job import Job
from client.prepare.mask_sessions import masks_with_their_date, masks_with_their_image
from client.prepare.qc_page import write_qc_pages
from common.errors import LesionFedError
from common.imaging.centreline import read_centreline
from common.imaging.intake.usable_case import UsableCase
from common.imaging.preprocessing.chain import PreparedVolumes, prepare_sessions
from common.imaging.preprocessing.working_case import WorkingCase, WorkingImage
from common.imaging.volume import Volume, noted, read_mask, read_volume

GRACE_S = 5.0
"""How long the worker may tidy up once its parent is gone (chosen)."""


def main() -> int:
    """Reads one job, does it, writes its result; the exit code is 0."""
    text = sys.stdin.readline()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    job = Job.model_validate_json(text)
    # the same count everywhere: another one gives other last digits
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(job.threads)
    answer: dict[str, Any]
    try:
        answer = {"notes": prepare_subject(job)}
    except LesionFedError as error:
        answer = {"error": str(error), "code": error.code}
    answer["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    return 0


def prepare_subject(job: Job) -> dict[str, list[str]]:
    """Prepares what is not there yet, draws the pages, and returns the notes of each case by name.

    A case is written whole or not at all. Errors are those of reading, of the chain's steps and of
    `derivatives.write_case`.
    """
    remove_leftovers(job)
    if not all(is_written(job, case) for case in job.cases):
        for case, volumes in zip(job.cases, _prepared(job), strict=True):
            write_case(job, case, volumes)
    written = [read_prepared(job, case) for case in job.cases]
    write_qc_pages(job, written)
    return {
        case.name: list(volumes.notes) for case, volumes in zip(job.cases, written, strict=True)
    }


def _prepared(job: Job) -> list[PreparedVolumes]:
    """The job's sessions at the end of the chain; of two dates, each mask at its own."""
    working = [_working_case(case, job) for case in job.cases]
    two_dates = len(working) == 2
    placed = masks_with_their_image(working) if two_dates else working
    prepared = prepare_sessions(placed, job.preprocessing, brain_command=job.brain_command)
    ordered = masks_with_their_date(prepared, working) if two_dates else prepared
    return [
        dataclasses.replace(volumes, notes=(*_of_files(case), *volumes.notes))
        for case, volumes in zip(working, ordered, strict=True)
    ]


def _of_files(case: WorkingCase) -> list[str]:
    """What is odd about the files, which place and size of everything prepared depend on."""
    masks = {"brain mask": case.brain, "lesion mask": case.lesions, "cord mask": case.cord}
    given = {name: image for name, image in masks.items() if image is not None}
    files = {**case.images, **given, **case.raters}
    return [text for _, text in noted({name: image.volume for name, image in files.items()})]


def _working_case(case: UsableCase, job: Job) -> WorkingCase:
    with_cord = "cord" in job.preprocessing.steps
    centreline = case.centreline if with_cord else None
    cord_mask = case.cord_mask if with_cord and centreline is None else None
    return WorkingCase(
        images={name: _unmoved(read_volume(path)) for name, path in case.images.items()},
        reference=job.preprocessing.reference_of(tuple(case.images)),
        brain=None if case.brain_mask is None else _unmoved(read_mask(case.brain_mask)),
        lesions=None if case.lesion_mask is None else _unmoved(read_mask(case.lesion_mask)),
        raters={rater: _unmoved(read_mask(path)) for rater, path in case.rater_masks.items()},
        centreline=None if centreline is None else read_centreline(centreline),
        cord=None if cord_mask is None else _unmoved(read_mask(cord_mask)),
    )


def _unmoved(volume: Volume) -> WorkingImage:
    """Where its header says, until it is registered."""
    return WorkingImage(volume=volume, to_common=np.eye(4))


def _end_with_parent() -> None:
    """Gives a program of the site's own the time to be ended, where one is running."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
