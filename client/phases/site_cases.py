"""The site's own cases, prepared and split, as every phase sees them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from client.phases.run_split import run_split
from client.site.findings_file import write_findings
from client.site.settings import Site
from common.errors import ConfigError, SiteDataError
from common.imaging.dataset.prepared import PreparedCase
from common.imaging.dataset.prepared_site import PreparedSite, prepared_site
from common.imaging.dataset.split import PARTS, Shares, Split, split_cases
from common.imaging.standardization.template import Template
from common.recipe.recipe import Recipe
from common.seeds import derived_seed
from common.wire.messages import Assignment, SummedSubjects

log = logging.getLogger(__name__)


def site_cases(site: Site, recipe: Recipe, template: Template) -> PreparedSite:
    """Everything usable at the site, prepared with the consortium's template."""
    store = site.work / "prepared"
    prepared = prepared_site(site.data, recipe=recipe, template=template, store=store)
    write_findings(site, prepared.findings, n_left_out=len(prepared.quarantined))
    return prepared


def shareable(cases: Sequence[PreparedCase], site: Site) -> Sequence[PreparedCase]:
    """The cases; none where too few subjects have a lesion for a figure over them to leave.

    Only cases with a lesion have a Dice. The hospital's policy says how many subjects it takes.
    """
    n_subjects = _n_with_lesion(cases)
    if n_subjects >= site.policy.min_subjects:
        return cases
    if cases:
        log.info("no figure of %d cases leaves: lesions in %d subjects", len(cases), n_subjects)
    return []


def summed_subjects(cases: Sequence[PreparedCase], site: Site) -> SummedSubjects:
    """The subjects with a lesion among the cases, as the site may sum over them for a total.

    None where they are too few, unless the hospital's policy counts those of the federation: then
    they come with the number that the total must have.
    """
    n_subjects, policy = _n_with_lesion(cases), site.policy
    if n_subjects and policy.allows(n_subjects):
        return SummedSubjects(n_subjects=n_subjects)
    if n_subjects and policy.sums_count == "federation":
        return SummedSubjects(n_subjects=n_subjects, min_total=policy.min_subjects)
    if cases:
        log.info("no sum over %d cases leaves: lesions in %d subjects", len(cases), n_subjects)
    return SummedSubjects(n_subjects=0)


def _n_with_lesion(cases: Sequence[PreparedCase]) -> int:
    return len({case.subject for case in cases if case.trainable})


def sites_of(cases: Sequence[PreparedCase], assignment: Assignment, site: Site) -> list[int]:
    """The index of the site that each case is from; at a pooled site that of its own hospital."""
    n_indices = max(1, len(site.pooled_from))
    if assignment.site_index + n_indices > assignment.n_sites:
        raise ConfigError(
            f"site {site.name}: want indices for {n_indices} sites (pooled_from in site.toml) from "
            f"{assignment.site_index} on, and the coordinator has {assignment.n_sites}. Lay the "
            "simulation out again with --pooled.",
            code="pooled-sites",
        )
    return [assignment.site_index + _origin_index(case, site) for case in cases]


def for_threshold(split: Split, recipe: Recipe) -> list[PreparedCase]:
    """The cases on which the decision threshold is chosen.

    Those kept for validation where the recipe has no share of its own for it.
    """
    return split.threshold if recipe.federation.site_threshold_share > 0 else split.validation


def labelled_cases(site: Site, recipe: Recipe, template: Template) -> list[PreparedCase]:
    """Every case with a reference, lesions or not: what a site scores that never trains."""
    prepared = site_cases(site, recipe, template).cases
    return [case for case in prepared if case.lesions is not None]


def own_cases(site: Site, recipe: Recipe, template: Template, *, run: str) -> Split:
    """The labelled cases that train, and those the site keeps for choices and for its test.

    run   its name: every subject stays in its part for as long as the run lasts, see `run_split`

    Cases without a lesion are among them where the recipe samples such cases.
    SiteDataError where no case has a lesion: such a site may join the statistics, not train.
    """
    prepared = site_cases(site, recipe, template).cases
    if not any(case.trainable for case in prepared):
        raise SiteDataError(
            f"site {site.name}: asked to train, and no case under {site.data} has a lesion in its "
            "reference. Add lesion masks (desc-lesion_mask), or ask the coordinator to enrol this "
            "site for the statistics only.",
            code="no-lesions",
        )
    with_lesion_free = recipe.sampling.takes_lesion_free_cases
    cases = [
        case
        for case in prepared
        if case.trainable or (with_lesion_free and case.lesions is not None)
    ]
    return run_split(
        cases, site, recipe, run=run, split_anew=lambda: _split_anew(cases, site, recipe)
    )


def _split_anew(cases: Sequence[PreparedCase], site: Site, recipe: Recipe) -> Split:
    """The split of a run that begins; each hospital of a pooled site is split apart."""
    names = [origin.name for origin in site.pooled_from] or [site.name]
    splits = [
        _split([case for case in cases if _origin_index(case, site) == index], name, recipe)
        for index, name in enumerate(names)
    ]
    return Split.of_parts(
        {part: [case for split in splits for case in getattr(split, part)] for part in PARTS}
    )


def _split(cases: Sequence[PreparedCase], name: str, recipe: Recipe) -> Split:
    """The cases of one hospital in parts, the same whether they lie there or at a pooled site."""
    settings = recipe.federation
    return split_cases(
        cases,
        shares=Shares(
            validation=settings.site_validation_share,
            threshold=settings.site_threshold_share,
            test=settings.site_test_share,
        ),
        method=settings.split,
        seed=derived_seed(recipe.seed, "site-validation", name),
    )


def _origin_index(case: PreparedCase, site: Site) -> int:
    """The place of the case's hospital in `pooled_from`; 0 at a site that is one hospital."""
    if not site.pooled_from:
        return 0
    for index, origin in enumerate(site.pooled_from):
        if case.subject.startswith(origin.prefix):
            return index
    raise SiteDataError(
        f"site {site.name}: {case.subject} has none of the prefixes of pooled_from in site.toml, "
        "so it is not known which site it is from. Lay the simulation out again with --pooled.",
        code="pooled-sites",
    )
