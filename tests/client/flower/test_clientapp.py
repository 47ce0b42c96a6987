from __future__ import annotations

import logging
import threading

import pytest

from client.app import app
from client.flower import clientapp, time_limit
from client.flower.clientapp import error_without_text, inspect_only, own_app_loader
from client.flower.time_limit import TimeLimitedApp
from common.errors import BundleRefused


def test_the_text_of_a_refusal_is_its_code_and_the_details_are_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(BundleRefused, match=r"^bundle-not-ours$") as refused:
        inspect_only(b"no zip", skip_prompt=True)
    assert refused.value.__suppress_context__
    assert "not a zip file" in caplog.text


def test_a_bundle_that_takes_long_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(clientapp, "INSPECTION_S", 0.05)
    monkeypatch.setattr(time_limit, "_give_up", lambda wait_s: ended.set())
    monkeypatch.setattr(clientapp, "inspect_bundle", lambda content: ended.wait(60))
    inspect_only(b"", skip_prompt=True)
    assert ended.is_set()


def test_the_app_is_the_installed_one_whatever_the_bundle_names() -> None:
    load = own_app_loader(default_app_ref="evil:app", app_path=None, multi_app=True)
    loaded = load("evil/evil", "6.6.6", "0")
    assert isinstance(loaded, TimeLimitedApp)  # and work that hangs is given up
    assert loaded.app is app


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (
            "<class 'common.errors.BundleRefused'>:<'bundle-has-code'>",
            "BundleRefused: bundle-has-code",
        ),
        (
            "<class 'FileNotFoundError'>:<'[Errno 2] No such file: '/data/sub-01'>",
            "InternalError: internal",
        ),
        ("<class 'KeyError'>:<''sub-01''>", "InternalError: internal"),
        ("An exception was raised when attempting to load `ClientApp`", "InternalError: internal"),
    ],
)
def test_only_a_class_and_a_code_leave(
    reason: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        error = error_without_text(0, reason)
    assert (error.code, error.reason) == (0, told)
    assert (reason in caplog.text) == (told == "InternalError: internal")


def test_a_text_of_any_length_takes_little_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        error_without_text(0, f"<class 'ValueError'>:<'Invalid message type: {'x' * 1_000_000}'>")
    assert "Invalid message type: xxx" in caplog.text
    assert len(caplog.text) < 3000
