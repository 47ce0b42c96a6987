"""Images that are the same to the last voxel: one scan under two names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from common.imaging.intake.findings import Finding, case_name, first_of
from common.imaging.intake.usable_case import OpenCase
from common.imaging.voxel_digest import voxel_digests


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What identifies the voxels of one file.

    subject, session   as in `Finding`
    what               the modality, or "lesion mask"
    digest             as `voxel_digests`, in RAS order
    """

    subject: str
    session: str | None
    what: str
    digest: bytes

    @property
    def shown(self) -> str:
        return f"{case_name(self.subject, self.session)} {self.what}"


def case_digests(case: OpenCase) -> Iterator[Digest]:
    """One digest for each image of the case, and one for a lesion mask that is not empty."""
    volumes = dict(case.images)
    if case.lesions is not None and case.lesions.data.any():
        volumes["lesion mask"] = case.lesions
    for what, volume in volumes.items():
        yield Digest(
            subject=case.files.subject,
            session=case.files.session,
            what=what,
            digest=voxel_digests(volume)[0],
        )


def same_voxels(digests: Sequence[Digest]) -> Iterator[Finding]:
    """A warning on every file but the first of those that hold the same voxels."""
    by_digest: dict[bytes, list[Digest]] = defaultdict(list)
    for digest in digests:
        by_digest[digest.digest].append(digest)
    for same in by_digest.values():
        for twin in same[1:]:
            others = [other.shown for other in same if other is not twin]
            yield Finding(
                level="warning",
                code="duplicate",
                subject=twin.subject,
                session=twin.session,
                text=f"{twin.what} holds the very voxels of {first_of(others)}",
                fix="Find out which one is right and replace the other: one scan under two names "
                "counts twice, and may be trained on and scored.",
            )
