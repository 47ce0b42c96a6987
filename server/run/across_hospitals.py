"""One subject or one image at two hospitals, told by digests that they may answer with."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from common.errors import ConfigError
from common.imaging.intake.image_digests import salted, salted_labels
from common.wire.messages import DigestQuestion, SaltedDigests
from server.run.data_record import DataRecord
from server.run.leakage import WHY


class AcrossHospitals:
    """Asks with one salt, and compares the answers with each other and the coordinator's own sites.

    own   what lies with the coordinator
    """

    def __init__(self, own: DataRecord) -> None:
        self._own = own
        self.question = DigestQuestion(salt=secrets.token_hex(16), labels=not own.labels_are_local)

    def require_apart(self, answers: Mapping[str, SaltedDigests]) -> None:
        """Nothing, or ConfigError naming two sites with one subject or one image.

        answers   site -> its digests; a site whose policy does not give them is not among them
        """
        known: dict[str, tuple[str, str]] = {}
        for site, digests in (*self._own_digests().items(), *sorted(answers.items())):
            for what, values in (("subject label", digests.labels), ("image", digests.images)):
                for value in values:
                    other, _ = known.setdefault(value, (site, what))
                    if other != site:
                        raise ConfigError(_shared(other, site, what))

    def _own_digests(self) -> dict[str, SaltedDigests]:
        salt = self.question.salt
        return {
            f"{place.place}": SaltedDigests(
                labels=salted_labels(place.subjects, salt=salt) if self.question.labels else (),
                images=salted(
                    {digest for image in place.images for digest in image.digests}, salt=salt
                ),
            )
            for place in self._own.places
        }


def _shared(one: str, other: str, what: str) -> str:
    text = (
        f"{one} and {other} have one {what} in common, as the digests say that they answered with: "
        f"{WHY}. Ask both hospitals whose it is, and leave it at one of them."
    )
    if what == "image":
        return text
    return (
        f"{text} If each hospital numbers its own subjects, begin a new run with "
        "--labels-are-local."
    )
