"""Which sites' sums may be added up: as many subjects in the total as each site's policy wants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from common.wire.messages import SummedSubjects


def usable_sites(subjects: Mapping[str, SummedSubjects]) -> tuple[str, ...]:
    """Names of the sites that have subjects in the total, sorted; none where none may be used.

    subjects   site -> the subjects in its sums, and how many the total must have

    It is the largest group of sites whose total is as large as the largest number that one of them
    wants: a site that wants more than there are in all is left out, with its subjects, until every
    wish that is left is met.
    """
    sites = sorted(
        (site for site, own in subjects.items() if own.n_subjects),
        key=lambda site: subjects[site].min_total,
    )
    while sites and subjects[sites[-1]].min_total > n_subjects_of(sites, subjects):
        sites.pop()
    return tuple(sorted(sites))


def n_subjects_of(sites: Iterable[str], subjects: Mapping[str, SummedSubjects]) -> int:
    """How many subjects these sites have in the total."""
    return sum(subjects[site].n_subjects for site in sites)
