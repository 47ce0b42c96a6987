"""Which sites' sums may be added up: as many subjects in the total as each site's policy wants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from common.wire.messages import SummedSubjects


def usable_sites(subjects: Mapping[str, SummedSubjects]) -> tuple[str, ...]:
    """Names of the sites that have subjects in the total, sorted; none where none may be used.

    subjects   site -> the subjects in its sums, and how many the total must have

    A site that wants no total stands by itself. The others are counted without these: a figure of a
    site that stands by itself may be recorded elsewhere, and what is left of the total once it is
    taken away must still be made of as many subjects as they want. Of them it is the largest group
    whose total is as large as the largest number that one of them wants: a site that wants more
    than there are is left out, with its subjects, until every wish that is left is met.
    """
    bearing = {site: own for site, own in subjects.items() if own.n_subjects}
    alone = [site for site, own in bearing.items() if own.min_total == 0]
    together = sorted(bearing.keys() - set(alone), key=lambda site: bearing[site].min_total)
    while together and bearing[together[-1]].min_total > n_subjects_of(together, bearing):
        together.pop()
    return tuple(sorted([*alone, *together]))


def n_subjects_of(sites: Iterable[str], subjects: Mapping[str, SummedSubjects]) -> int:
    """How many subjects these sites have in the total."""
    return sum(subjects[site].n_subjects for site in sites)
