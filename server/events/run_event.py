"""What every event of a run has: its time and its kind, and the round and the site it is of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


def _now() -> datetime:
    return (now := datetime.now(UTC)).replace(microsecond=now.microsecond // 1000 * 1000)


class Recorded(BaseModel):
    """Base of an event and of what lies inside one."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="constants")


_FIRST, _LAST = (datetime(year, 1, 1, tzinfo=UTC) for year in (2000, 3000))
Moment = Annotated[AwareDatetime, Field(gt=_FIRST, lt=_LAST)]  # every zone can show it


class RunEvent(Recorded):
    """One line of events.jsonl. time: when it was recorded, to the millisecond."""

    time: Moment = Field(default_factory=_now)
    event: str

    def as_dict(self) -> dict[str, Any]:
        """The object on disk: time and kind first, then the fields that were given."""
        facts = self.model_dump(
            mode="json", by_alias=True, exclude_unset=True, exclude={"time", "event"}
        )
        return {"time": self.time.isoformat(timespec="milliseconds"), "event": self.event, **facts}


class UnknownEvent(RunEvent):
    """An event of another version of LesionFed, with its facts as they are."""

    model_config = ConfigDict(extra="allow")


class RoundEvent(RunEvent):
    """What happened in one round of one phase, by which it is named."""

    phase: str
    round: int


class SiteEvent(RoundEvent):
    """What one site did in a round, or failed to do."""

    site: str
