from __future__ import annotations

import errno
import logging

import pytest

from client.failure import failure_of
from common.errors import LesionFedError, SiteDataError
from common.imaging.volume import VolumeFault
from common.wire.codec import pack
from common.wire.messages import SiteFailure

PATH = "/srv/neurology/bids/sub-Duvalier1961/ses-02/anat"


class Site_Data2Error(LesionFedError):  # a name that the wire does not take
    code = "site-data"


def errors() -> list[Exception]:
    from pathlib import Path

    chained = SiteDataError(f"{PATH}: no mask", code="no-lesions")
    chained.__cause__ = ValueError(PATH)
    chained.add_note(PATH)
    return [
        chained,
        VolumeFault(Path(PATH), code="truncated", what="ends early", fix="Copy it again."),
        OSError(errno.ENOSPC, "No space left on device", PATH),
        KeyError(PATH),
        MemoryError(PATH),
        SiteDataError("left out", code=PATH),
        Site_Data2Error(PATH),
    ]


@pytest.mark.parametrize("error", errors(), ids=lambda error: type(error).__name__)
def test_no_path_and_no_subject_is_in_what_is_packed(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        packed = pack(failure_of(error))
    sent = packed.header + packed.payload.decode("latin-1")
    for told in (PATH, "Duvalier", "neurology", "sub-", "ses-02", "/"):
        assert told not in sent
    assert "Duvalier" in caplog.text or "left out" in caplog.text


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (errors()[0], SiteFailure(error="SiteDataError", code="no-lesions")),
        (errors()[2], SiteFailure(error="OSError", code="disk")),
        (OSError(errno.EMFILE, "", PATH), SiteFailure(error="OSError", code="open-files")),
        (errors()[3], SiteFailure(error="InternalError", code="internal")),
        pytest.param(
            errors()[5],
            SiteFailure(error="InternalError", code="internal"),
            id="a code that is no code",
        ),
    ],
)
def test_the_coordinator_receives_the_class_and_the_code(
    error: Exception, told: SiteFailure
) -> None:
    assert failure_of(error) == told


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(SiteDataError("x" * 1_000_000), id="ours"),
        pytest.param(SiteDataError("short", code="x" * 1_000_000), id="a code"),
        pytest.param(KeyError("x" * 1_000_000), id="of the program"),
        pytest.param(OSError(errno.ENAMETOOLONG, "too long", "x" * 1_000_000), id="a path"),
    ],
)
def test_a_text_of_any_length_takes_little_of_the_log(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        failure_of(error)
    assert len(caplog.text) < 3000
    assert "xxx" in caplog.text


def test_the_log_says_where_an_error_of_the_program_arose(
    caplog: pytest.LogCaptureFixture,
) -> None:
    try:
        raise KeyError("sub-01")
    except KeyError as error:
        failure_of(error)
    assert "please report it\nTraceback (most recent call last)" in caplog.text
    assert 'raise KeyError("sub-01")' in caplog.text
