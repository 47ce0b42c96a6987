"""One event of a run as a line that a person reads."""

from __future__ import annotations

from datetime import datetime

from server.events.event_log import Event
from server.events.failure_advice import advice


def in_words(event: Event) -> str:
    """Time of day here, then what happened; of kinds not known here, their facts as they are."""
    time = datetime.fromisoformat(event["time"]).astimezone()
    return f"{time:%Y-%m-%d %H:%M:%S}  {_told(event)}"


def _told(event: Event) -> str:
    match event:
        case {"event": "run-started", "run": run, "recipe_name": recipe, "sites": sites}:
            names = [site["name"] for site in sites if site["role"] == "train"]
            return f"run {run} of recipe {recipe} begins; training: {', '.join(names)}"
        case {"event": "run-resumed", "round": index, "phase": phase}:
            return f"the run goes on after {phase or 'its start'}, round {index}"
        case {"event": "run-finished", "status": status, "reason": reason}:
            return f"the run ends: {status}" + (f": {reason}" if reason else "")
        case {"event": "round-started", "phase": phase, "round": index, "sites": sites}:
            return f"{phase}, round {index}: asked {', '.join(sites) or 'nobody'}"
        case {"event": "round-finished", "phase": phase, "round": index, "n_replies": n}:
            return f"{phase}, round {index}: closed with {n} {'reply' if n == 1 else 'replies'}"
        case {"event": "reply", "phase": phase, "round": index, "site": site}:
            return f"{phase}, round {index}: {site} has answered"
        case {"event": "late-reply", "phase": phase, "round": index, "site": site}:
            became = _became(event.get("counts_in"))
            return f"{phase}, round {index}: {site} answered {event['late_s']:.0f} s late; {became}"
        case {"event": "retry", "phase": phase, "round": index, "site": site, "code": code}:
            return f"{phase}, round {index}: {site} failed ({code}) and is asked again"
        case {"event": "site-failed", "phase": phase, "round": index, "site": site, "code": code}:
            error = event.get("error", "error")
            return f"{phase}, round {index}: {site} failed: {error} ({code}). {advice(code)}"
        case {"event": "site-state", "site": site, "state": state}:
            return f"site {site} is {state}"
        case {"event": "waiting", "for": sites, "until": until, "have": have, "need": need}:
            local = datetime.fromisoformat(until).astimezone()
            there = f"{have} there, {need} needed"
            return f"waiting for {', '.join(sites)} until {local:%H:%M:%S} ({there})"
        case {"event": "checkpoint", "phase": phase, "round": index, "file": _}:
            return f"{phase}, round {index}: saved"
        case {"event": "checkpoint-damaged", "file": file}:
            return f"checkpoint {file} is damaged; the one before it is used"
        case {"event": "evaluated", "method": method, "site": site, "round": index, "cases": cases}:
            return f"{site} scored by {method} after round {index}: {len(cases)} cases"
        case {"event": "selected", "round": index, "by": by}:
            return f"round {index} selected by {by}"
        case _:
            facts = [f"{key} {event[key]}" for key in event if key not in ("time", "event")]
            return f"{event.get('event', '?')}: {', '.join(facts)}"[:300]


def _became(round_index: int | None) -> str:
    """What a late answer came to."""
    return "it does not count" if round_index is None else f"it counts in round {round_index}"
