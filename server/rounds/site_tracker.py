"""Keeps every site's record during a run, and records each change of state as an event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from common.recipe.federation import Federation
from server.events.event_log import EventLog, Place
from server.events.schema import SiteStateChanged, SubjectsChanged
from server.run.site_state import Happening, SiteRecord


class SiteTracker:
    """The records of all sites; the event `site-state` is recorded on a change, and only then.

    records   those of a checkpoint; empty when a run begins
    """

    def __init__(
        self, records: Mapping[str, SiteRecord], *, federation: Federation, events: EventLog
    ) -> None:
        self._records = dict(records)
        self._federation = federation
        self._events = events
        self._changes: dict[str, tuple[int, int]] = {}

    @property
    def records(self) -> dict[str, SiteRecord]:
        """Site -> its record now."""
        return dict(self._records)

    def excluded(self, sites: Sequence[str]) -> list[str]:
        """Those of `sites` that are not to be asked now."""
        return [site for site in sites if self._of(site).state == "excluded"]

    def note(self, site: str, happening: Happening, place: Place) -> None:
        """Notes what happened to a site."""
        self._replace(site, self._of(site).after(happening), place)

    def end_round(self, site: str, place: Place, *, useful: bool) -> None:
        """Notes how a round ended for a site that was asked in it."""
        record = self._of(site).after_round(
            useful=useful,
            exclude_after=self._federation.exclude_after,
            exclude_rounds=self._federation.exclude_rounds,
        )
        self._replace(site, record, place)

    def end_round_excluded(self, site: str, place: Place) -> None:
        """Notes that a round ended without an excluded site."""
        self._replace(site, self._of(site).after_round_excluded(), place)

    def let_in(self, site: str, place: Place) -> None:
        """Notes that an excluded site is asked before its time."""
        self._replace(site, self._of(site).let_in(), place)

    def note_subjects(self, site: str, facts: Mapping[str, Any], place: Place) -> None:
        """Records it where an answer says that other subjects are new or gone than the last did."""
        if "n_new_subjects" not in facts:
            return
        changes = n_new, n_lost = facts["n_new_subjects"], facts["n_lost_subjects"]
        if changes != self._changes.get(site, (0, 0)):
            self._events.record(SubjectsChanged(**place, site=site, n_new=n_new, n_lost=n_lost))
        self._changes[site] = changes

    def _of(self, site: str) -> SiteRecord:
        return self._records.get(site, SiteRecord())

    def _replace(self, site: str, record: SiteRecord, place: Place) -> None:
        changed = record.state != self._of(site).state
        self._records[site] = record
        if changed:
            self._events.record(SiteStateChanged(**place, site=site, state=record.state))
