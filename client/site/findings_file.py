"""What was found in the site's data, where its engineer can read it: in the site's own folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from client.site.settings import Site
from common.files import write_whole
from common.imaging.intake.findings import Finding, as_text

log = logging.getLogger(__name__)


def write_findings(site: Site, findings: Sequence[Finding], *, n_left_out: int) -> None:
    """Writes every finding to `work/findings.txt`, and warns where a case was left out.

    The log holds counts alone; subjects are named in the file, which stays at the site.
    """
    site.work.mkdir(parents=True, exist_ok=True)
    path = site.work / "findings.txt"
    write_whole(path, (as_text(findings) + "\n").encode())
    if n_left_out:
        log.warning("site %s: %d cases are left out; %s says why", site.name, n_left_out, path)
