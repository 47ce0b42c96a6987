"""A real browser without a window, told what to do over a pair of pipes."""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.waiting import wait_until

PROGRAM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
OPTIONS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",  # it opens our own files only, and containers have no user namespaces
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--window-size=1200,900",
)
FROM_US, TO_US = 3, 4
"""Where the browser reads commands and writes answers."""
LIMIT_S = 60.0


class Page:
    """One page, open in the browser.

    complaints   what the console, the page's policy and its scripts have reported so far
    """

    def __init__(self, commands: int, answers: int) -> None:
        self.complaints: list[str] = []
        self._commands = commands
        self._answers = answers
        self._unread = b""
        self._n_sent = 0
        self._session: str | None = None

    def open(self, path: Path) -> None:
        """Loads the file as a reader does who opens it from a disk."""
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        attached = self.tell("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.tell(f"{domain}.enable")
        self.tell("Page.navigate", url=path.as_uri())

    def value_of(self, script: str) -> Any:
        """What the expression gives in the page; not under the page's policy."""
        answer = self.tell("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Returns once the expression is `true`, and not for anything else that counts as true."""
        wait_until(
            lambda: self.value_of(script) is True,
            lambda: f"{script}; the page says {self.complaints}",
            limit_s=LIMIT_S,
        )

    def tell(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The browser's answer to one command of its DevTools protocol."""
        self._n_sent += 1
        message = {"id": self._n_sent, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._n_sent:
            self._note(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _note(self, event: dict[str, Any]) -> None:
        if event["method"] in (
            "Log.entryAdded",
            "Runtime.exceptionThrown",
            "Runtime.consoleAPICalled",
        ):
            self.complaints.append(json.dumps(event["params"]))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            if not select.select([self._answers], [], [], LIMIT_S)[0]:
                raise TimeoutError("the browser does not answer")
            if not (read := os.read(self._answers, 1 << 16)):
                raise RuntimeError("the browser has ended")
            self._unread += read
        message, _, self._unread = self._unread.partition(b"\0")
        event: dict[str, Any] = json.loads(message)
        return event


@contextmanager
def page_in_chromium(path: Path, *, profile: Path) -> Iterator[Page]:
    """The file, open in a browser that ends with the block.

    profile   an empty folder of the browser's own
    """
    assert PROGRAM is not None, "the caller skips without a browser"
    (browser_reads, commands), (answers, browser_writes) = os.pipe(), os.pipe()
    theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (browser_reads, browser_writes)]

    def as_they_are_expected() -> None:
        os.dup2(theirs[0], FROM_US)
        os.dup2(theirs[1], TO_US)

    browser = subprocess.Popen(
        [PROGRAM, *OPTIONS, f"--user-data-dir={profile}"],
        pass_fds=(FROM_US, TO_US),
        preexec_fn=as_they_are_expected,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    for fd in (browser_reads, browser_writes, *theirs):
        os.close(fd)
    try:
        page = Page(commands, answers)
        page.open(path)
        yield page
    finally:
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()
        os.close(commands)
        os.close(answers)
