"""Does this side run the coordinator's code?"""

from __future__ import annotations

import importlib.metadata

from common.code_digest import code_digest
from common.preflight.check import Check, passed, problem

NAME = "LesionFed's version"


def versions(*, lesionfed_version: str, digest: str, issued: str) -> Check:
    """The installed code against what the coordinator had when the kit was issued.

    digest   of the coordinator's code, by `code_digest`
    issued   the kit's date, shown
    """
    here = importlib.metadata.version("lesionfed")
    if here == lesionfed_version and code_digest() == digest:
        return passed(NAME, f"{here}, code {digest[:12]}")
    found = f"{here}, code {code_digest()[:12]}; the coordinator has "
    return problem(
        NAME,
        f"{found}{lesionfed_version}, code {digest[:12]} by the kit of {issued[:10]}",
        "Install the coordinator's version: a site with other code is refused. If the coordinator "
        "has changed version since, ask for a new kit and join with it.",
    )
