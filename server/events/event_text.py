"""One event of a run as a line that a person reads."""

from __future__ import annotations

from server.events import schema
from server.events.failure_advice import advice
from server.events.run_event import RoundEvent, RunEvent
from server.events.site_limited import SiteLimited
from server.events.site_probed import SiteNotProbed, SiteProbed


def event_text(event: RunEvent) -> str:
    """Local date and time, then what happened; of kinds not known here, their facts as they are."""
    return f"{event.time.astimezone():%Y-%m-%d %H:%M:%S}  {_text(event)}"


def _text(event: RunEvent) -> str:
    match event:
        case schema.RunStarted():
            names = [site.name for site in event.sites if site.role == "train"]
            recipe = event.recipe_name
            return f"run {event.run} of recipe {recipe} begins; training: {', '.join(names)}"
        case schema.RunResumed(phase=str(phase)):
            return f"the run continues after {phase or 'its start'}, round {event.round}"
        case schema.RunFinished():
            return f"the run ends: {event.status}" + (f": {event.reason}" if event.reason else "")
        case schema.WaitingForSites(until=until):
            return (
                f"waiting for {', '.join(event.sites)} until {until.astimezone():%H:%M:%S} "
                f"({event.have} online, {event.need} needed)"
            )
        case schema.CheckpointDamaged():
            return f"checkpoint {event.file} is damaged; the one before it is used"
        case schema.SiteStateChanged():
            return f"site {event.site} is {event.state}"
        case schema.Evaluated():
            return (
                f"{event.site} scored by {event.method} after round {event.round}: "
                f"{len(event.cases)} cases"
            )
        case schema.RoundSelected():
            return f"round {event.round} selected by {event.by}"
        case schema.ChoiceAnnounced():
            return announced_in_words(event)
        case schema.SitesValidated():
            dice, n = event.mean_dice, event.n_cases
            return f"round {event.round}: mean Dice {dice:.3f} on {n} cases that sites keep"
        case SiteProbed():
            return (
                f"site probe: {event.accuracy:.3f} of patches named right ({event.low:.3f} to "
                f"{event.high:.3f}); by chance {event.chance:.3f}"
            )
        case SiteNotProbed():
            return f"site probe: not measured: {event.reason}"
        case RoundEvent():
            return f"{event.phase}, round {event.round}: {_in_round(event)}"
        case _:
            facts = [f"{key} {value}" for key, value in event.as_dict().items()]
            return f"{event.event}: {', '.join(facts[2:])}"[:300]


def announced_in_words(event: schema.ChoiceAnnounced) -> str:
    """What will choose the round or the threshold, or that nothing will, and what to do."""
    if event.otherwise is not None:
        return f"no {event.choice} will be chosen: {event.otherwise}"
    subjects, sites = (
        f"{n} {what}" + ("" if n == 1 else "s")
        for n, what in ((event.n_subjects, "subject"), (event.n_sites, "site"))
    )
    keep = "keeps" if event.n_sites == 1 else "keep"
    cases = f"cases of {subjects} that {sites} {keep} from training"
    return f"the {event.choice} will be chosen on {cases}"


def changed_subjects_in_words(event: schema.SubjectsChanged) -> str:
    """How a site's subjects differ from those with which it began the run."""
    return (
        f"{event.site} has other subjects than when the run began there: {event.n_new} new, which "
        f"only train, and {event.n_lost} gone; all others keep their part"
    )


def _in_round(event: RoundEvent) -> str:
    match event:
        case schema.RoundStarted():
            return f"asked {', '.join(event.sites) or 'no site'}"
        case schema.RoundFinished(n_replies=n):
            return f"closed with {n} {'reply' if n == 1 else 'replies'}"
        case schema.SiteReplied():
            return f"{event.site} has answered"
        case schema.SubjectsChanged():
            return changed_subjects_in_words(event)
        case schema.LateReply(counts_in=at):
            effect = "it does not count" if at is None else f"it counts in round {at}"
            return f"{event.site} answered {event.late_s:.0f} s late; {effect}"
        case schema.HeadMeasured():
            return f"spread of the site head over all sites {event.head_spread_all:.4f}"
        case schema.SiteRetried():
            return f"{event.site} failed ({event.code}) and is asked again"
        case SiteLimited():
            return event.in_words
        case schema.SiteFailed(code=code):
            return f"{event.site} failed: {event.error} ({code}). {advice(code)}"
        case _:
            return "saved"
