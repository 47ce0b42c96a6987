"""What the site has, in counts, and its sums towards the consortium's template."""

from __future__ import annotations

import functools
import logging
import operator
from collections import Counter, defaultdict
from collections.abc import Sequence

from client.findings_file import tell
from client.site import Site
from common.errors import SiteDataError
from common.imaging.case_images import CaseImages, read_case
from common.imaging.intake import examine
from common.imaging.preprocessing.standardization import Method
from common.imaging.preprocessing.template import TemplateSums, subject_sums
from common.recipe import Recipe
from common.wire.messages import SiteStatistics

log = logging.getLogger(__name__)


def describe_site(recipe: Recipe, site: Site) -> SiteStatistics:
    """Counts, and the sum of each subject's landmarks where the recipe learns a template.

    A subject with several sessions counts once, with the mean over them. PolicyRefused where the
    sums would come from fewer subjects than the hospital allows.
    """
    intake = examine(site.data, modalities=recipe.task.modalities)
    tell(site, intake.findings, n_left_out=len(intake.quarantined))
    settings = recipe.standardization
    lesion_volume_ml = 0.0
    sessions: dict[str, list[TemplateSums]] = defaultdict(list)
    for usable in intake.usable:
        case = read_case(usable)
        lesion_volume_ml += case.lesion_volume_ml
        if settings.learns_template and (usable.control or settings.template_from == "all"):
            sessions[usable.subject] += _sums_of(case, usable.name, settings.method)
    subjects = [_mean(sums) for sums in sessions.values() if sums]
    nobody = TemplateSums.none(recipe.task.modalities, settings.n_landmarks)
    total = functools.reduce(operator.add, subjects, nobody)
    site.policy.require_enough_subjects(total.n_subjects)
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
    )


def _sums_of(case: CaseImages, name: str, method: Method) -> list[TemplateSums]:
    """One session's sums; none, with a word in the log, where its intensities cannot be used."""
    images = {modality: image.data for modality, image in case.images.items()}
    try:
        return [subject_sums(images, case.brain.data, method=method)]
    except SiteDataError as error:
        log.warning("one case adds nothing to the template: %s", error)
        log.debug("it is %s", name)
        return []


def _mean(sessions: Sequence[TemplateSums]) -> TemplateSums:
    """One subject's sums over its sessions, counted once."""
    total = functools.reduce(operator.add, sessions)
    means = {name: sums / total.n_subjects for name, sums in total.landmark_sums.items()}
    return TemplateSums(1, means)
