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
    """Those of them that a case may lack, such as ("T1w",): its channel is then zeros, which is the
    mean of a standardized image. Never the first."""
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
    def _optional_are_further_ones(self) -> Self:
        optional, further = self.optional_modalities, self.modalities[1:]
        if len(set(optional)) != len(optional) or set(optional) - set(further):
            raise ValueError(
                f"optional_modalities: want some of {further}, each once (every case has the "
                f"first, {self.modalities[0]}), got {optional}"
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
