"""The program that the SuperNode starts as `flwr-clientapp`, once for every message.

The process on standby forks into it (standby.py); where there is none it is started as it is. It
is Flower's own, with three parts replaced before it begins:

the installer   Flower unpacks the coordinator's bundle into a folder and puts that folder first on
                sys.path, so that a bundle with `client/app.py` would replace the package that the
                hospital vetted. Here the bundle is inspected in memory (guard.py) and never
                unpacked: sys.path stays as it is, and foreign code never runs.
the loader      the app is the installed package's `client.app:app`, whatever the bundle says; work
                that hangs is given up (time_limit.py).
the error       Flower sends the class and the text of an exception to the coordinator. Here it is
                the class and a code; the text is written to the site's log.

`client` and `common` are imported before Flower, and remembered with their folders. `client.app`
itself comes with the loader: its import takes seconds on a slow disk, and Flower gives a program
30 s until its first sign of life, which comes before the loader.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path

from client.flower.guard import inspect_bundle, package_folders, require_own_modules
from client.flower.time_limit import TimeLimitedApp, given_up_after
from common.cli.escaped_log import escape_log
from common.errors import BundleRefused
from common.programs import replace_parts

FOLDERS = package_folders()
"""Taken when this module is imported: nothing of Flower's or the coordinator's was there yet."""

from flwr.app import Error  # noqa: E402 - after our own packages, on purpose
from flwr.supernode.cli.flwr_clientapp import flwr_clientapp  # noqa: E402 - as above
from flwr.supernode.runtime import run_clientapp as runtime  # noqa: E402 - as above

log = logging.getLogger(__name__)

PROGRAM = "flwr-clientapp"
NAME_FILE = Path("/proc/self/comm")
"""The process's name for `ps` and `top`; its command line may be that of the standby."""

INSPECTION_S = 60.0
"""How long the bundle may take, before the message's own time begins: the real one takes 1 ms."""

SENT = re.compile(r"<class '(?:\w+\.)*(?P<error>\w{1,60})'>:<'(?P<code>[a-z0-9-]{1,60})'>")
"""What may leave of Flower's text for an exception: a class, and a text that is only a code."""


def main() -> int:
    """Exit code of Flower's program, run with our parts in it."""
    log_to_stderr()
    NAME_FILE.write_text(PROGRAM, encoding="ascii")
    replace_parts(runtime, PARTS)
    flwr_clientapp()
    return 0


def log_to_stderr() -> None:
    """Sends the log of this process to its standard error, which is the node's log."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    escape_log()


def inspect_only(content: bytes, *, skip_prompt: bool) -> None:
    """In place of Flower's installer: the bundle is inspected, and nothing is unpacked."""
    try:
        with given_up_after(INSPECTION_S):
            inspect_bundle(content)
    except BundleRefused as error:
        raise _by_code(error) from None


def own_app_loader(**_: object) -> Callable[[str, str, str], object]:
    """In place of Flower's loader: the app of the installed package, whatever the bundle names."""
    return _load_own_app


def _load_own_app(fab_id: str, fab_version: str, fab_hash: str) -> TimeLimitedApp:
    from client.app import app

    try:
        require_own_modules(FOLDERS)
    except BundleRefused as error:
        raise _by_code(error) from None
    return TimeLimitedApp(app)


def error_without_text(code: int, reason: str) -> Error:
    """In place of Flower's error: what the coordinator gets, a class and a code at most."""
    found = SENT.fullmatch(reason)
    if found is None:
        log.error(
            "the coordinator learns only that an internal error happened; it is: %.2000s", reason
        )
    sent = "InternalError: internal" if found is None else f"{found['error']}: {found['code']}"
    return Error(code=code, reason=sent)


def _by_code(error: BundleRefused) -> BundleRefused:
    """The same refusal with its code as the text; the text itself goes to the site's log."""
    log.error("%s: %.2000s", type(error).__name__, error)
    return BundleRefused(error.code, code=error.code)


PARTS = {
    "install_from_fab": inspect_only,
    "get_load_client_app_fn": own_app_loader,
    "Error": error_without_text,
}
"""Flower's names in its runtime module -> what takes their place."""


if __name__ == "__main__":
    sys.exit(main())
