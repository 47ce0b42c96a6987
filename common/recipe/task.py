"""What is segmented, and in which images."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from common.settings import Settings

Target = Literal["lesions", "new-lesions"]


class Task(Settings):
    """What is segmented, and in which images."""

    modalities: tuple[str, ...] = Field(min_length=1)
    """BIDS suffixes, in channel order, such as ("FLAIR", "T1w")."""
    optional_modalities: tuple[str, ...] = ()
    """Those of `modalities` that a case may lack, never the first: its channel is then zeros."""
    target: Target = "lesions"
    """lesions: those of one session; new-lesions: those of a session that the one before lacks."""
    raters: Annotated[int, Field(ge=0, le=8)] = 0
    """People whose own references are learned beside the consensus, each an output of its own."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.modalities)) != len(self.modalities):
            raise ValueError(f"each modality once, got {self.modalities}")
        return self

    @model_validator(mode="after")
    def _optional_ones_are_read(self) -> Self:
        optional = self.optional_modalities
        if len(set(optional)) != len(optional) or not set(optional) <= set(self.modalities[1:]):
            raise ValueError(
                f"optional_modalities: want some of {self.modalities[1:]}, each once; the first "
                f"modality is always there. Got {optional}"
            )
        return self

    @property
    def dates(self) -> Literal[1, 2]:
        """Sessions that one case consists of."""
        return 2 if self.target == "new-lesions" else 1

    @property
    def channels(self) -> tuple[str, ...]:
        """What the network reads, in order: the modalities, or those of each date in turn."""
        if self.dates == 1:
            return self.modalities
        return tuple(f"{modality}-{date}" for date in (1, 2) for modality in self.modalities)

    def modality_of(self, channel: str) -> str:
        """The modality of a channel: "FLAIR" of "FLAIR-2"."""
        return channel if self.dates == 1 else channel.rpartition("-")[0]

    @property
    def n_outputs(self) -> int:
        """What the network answers: every rater in turn, and the consensus last."""
        return self.raters + 1
