"""What the site has, in counts, and its sums towards the consortium's template."""

from __future__ import annotations

import functools
import logging
import operator
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from client.site.findings_file import write_findings
from client.site.settings import Site
from common.arrays import FloatArray
from common.errors import SiteDataError
from common.imaging.dataset.prepared import CaseImages, read_case
from common.imaging.intake.bids import list_cases
from common.imaging.intake.image_digests import image_digests, salted, salted_labels
from common.imaging.intake.intake import examine
from common.imaging.intake.usable_case import UsableCase
from common.imaging.standardization.template import TemplateSums, subject_sums
from common.imaging.volume import Volume
from common.recipe.recipe import Recipe
from common.recipe.task import Task
from common.wire.field_types import SPACING_MM
from common.wire.messages import DigestQuestion, SaltedDigests, SiteStatistics

log = logging.getLogger(__name__)


def describe_site(
    recipe: Recipe, site: Site, question: DigestQuestion | None = None
) -> SiteStatistics:
    """Counts, and the sum of each subject's landmarks where the recipe learns a template.

    A subject with several sessions counts once, with the mean over them: with every date once,
    also where two cases share one. PolicyRefused where the
    sums would come from fewer subjects than the hospital allows. What the grids are like stays here
    where there are fewer subjects than that.

    question   asks for salted digests of subjects and images as well; answered where the hospital's
               policy says so
    """
    intake = examine(site.data, task=recipe.task)
    write_findings(site, intake.findings, n_left_out=len(intake.quarantined))
    settings = recipe.standardization
    lesion_volume_ml, n_stripped = 0.0, 0
    n_missing = dict.fromkeys(recipe.task.optional_modalities, 0)
    spacings_mm: list[FloatArray] = []
    sessions: dict[str, dict[str | None, list[TemplateSums]]] = defaultdict(dict)
    for usable in intake.usable:
        case = read_case(usable)
        lesion_volume_ml += case.lesion_volume_ml
        n_stripped += case.stripped
        for modality in n_missing:
            lacks = any(recipe.task.modality_of(name) == modality for name in usable.missing)
            n_missing[modality] += lacks
        spacings_mm.append(case.brain.spacing_mm)
        if settings.learns_template and (usable.control or settings.template_from == "all"):
            of_subject = sessions[usable.subject]
            for session, images in _dates(usable, case, recipe.task):
                if session not in of_subject:
                    brain = case.brain
                    of_subject[session] = _sums_of(images, brain, usable.name, recipe)
    of_subjects = [[one for sums in dates.values() for one in sums] for dates in sessions.values()]
    subjects = [_mean(sums) for sums in of_subjects if sums]
    empty = TemplateSums.none(recipe.task.modalities, settings.n_landmarks)
    total = functools.reduce(operator.add, subjects, empty)
    site.policy.require_enough_subjects(total.n_subjects)
    total = _shareable(total, site)
    spacing_mm = None
    if site.policy.allows(len({usable.subject for usable in intake.usable})):
        spacing_mm = _median(spacings_mm)
    return SiteStatistics(
        n_cases=len(intake.usable),
        n_controls=sum(usable.control for usable in intake.usable),
        n_quarantined=len(intake.quarantined),
        n_trainable=sum(usable.n_lesion_voxels > 0 for usable in intake.usable),
        lesion_volume_ml=lesion_volume_ml,
        n_findings=dict(Counter(finding.level for finding in intake.findings)),
        n_template_subjects=total.n_subjects,
        landmark_sums={
            modality: tuple(sums.tolist()) for modality, sums in total.landmark_sums.items()
        },
        n_template_without=dict(total.without),
        n_missing=n_missing,
        spacing_mm=spacing_mm,
        n_stripped=None if spacing_mm is None else n_stripped,
        digests=_digests(recipe.task, site, question) if site.policy.share_digests else None,
    )


def _digests(task: Task, site: Site, question: DigestQuestion | None) -> SaltedDigests | None:
    """Of every case by the names of its files, usable or not."""
    if question is None:
        return None
    cases = list_cases(site.data, task).cases
    subjects = {case.subject for case in cases} if question.labels else set()
    images = {d for case in cases for image in image_digests(case) for d in image.digests}
    return SaltedDigests(
        labels=salted_labels(subjects, salt=question.salt),
        images=salted(images, salt=question.salt),
    )


def _median(spacings_mm: Sequence[FloatArray]) -> tuple[float, float, float] | None:
    """To 0.01 mm; None where no message may hold it: such a header has another unit."""
    right, front, up = np.median(spacings_mm, axis=0).round(2).tolist()
    plausible = all(SPACING_MM[0] <= mm <= SPACING_MM[1] for mm in (right, front, up))
    return (right, front, up) if plausible else None


def _dates(
    usable: UsableCase, case: CaseImages, task: Task
) -> Iterator[tuple[str | None, dict[str, Volume]]]:
    """Each session of the case, and its images by modality."""
    dates = (usable,) if usable.earlier is None else (usable.earlier, usable)
    channels = iter(task.channels)
    for date in dates:
        of_date = {name: next(channels) for name in task.modalities}
        images = {
            n: case.images[channel] for n, channel in of_date.items() if channel in case.images
        }
        yield date.session, images


def _sums_of(
    images: dict[str, Volume], brain: Volume, name: str, recipe: Recipe
) -> list[TemplateSums]:
    """One session's sums; none, with a warning in the log, where its intensities cannot be used."""
    arrays = {modality: image.data for modality, image in images.items()}
    lacking = [modality for modality in recipe.task.modalities if modality not in images]
    method = recipe.standardization.method
    try:
        return [subject_sums(arrays, brain.data, method=method, lacking=lacking)]
    except SiteDataError as error:
        log.warning("one case adds nothing to the template: %s", error)
        log.debug("it is %s", name)
        return []


def _mean(sessions: Sequence[TemplateSums]) -> TemplateSums:
    """One subject's sums over its sessions, counted once; of each modality those that have it."""
    total = functools.reduce(operator.add, sessions)
    means = {n: sums / max(1, total.n_with(n)) for n, sums in total.landmark_sums.items()}
    return TemplateSums(1, means, {name: 1 for name in means if not total.n_with(name)})


def _shareable(sums: TemplateSums, site: Site) -> TemplateSums:
    """The sums without those of a modality that too few subjects have."""
    few = [name for name in sums.without if not site.policy.allows(sums.n_with(name))]
    for name in few:
        log.info("no sum over the %s of %d subjects leaves", name, sums.n_with(name))
    zeros = {name: np.zeros_like(sums.landmark_sums[name]) for name in few}
    return TemplateSums(
        sums.n_subjects,
        {**sums.landmark_sums, **zeros},
        {**sums.without, **dict.fromkeys(few, sums.n_subjects)},
    )
