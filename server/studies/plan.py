"""What every study decides before its first network is trained: the networks and their sites."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from common.recipe.recipe import Recipe
from common.settings import Settings
from server.run.data_record import DataPlace, RecordedPlace
from server.run.run_folder import RunFolder


class StudySite(Settings):
    """One hospital of a study."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,54}$")]
    """At most 55 characters, so that `without-NAME` is a run's name."""
    data: Path
    """The site's BIDS folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """The sites of one run: they train, choose the round, or are held out for the verdict."""

    train: tuple[str, ...]
    validation: tuple[str, ...] = ()
    unseen: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedRun:
    """One network of a study.

    method   what it is trained by, such as uniform or federated
    fold     from 1; None where the study has no folds
    place    its run folder below that of the study, such as uniform/fold-1-seed-0
    title    what a reader knows it by, such as `uniform, fold 1, seed 0`
    """

    method: str
    seed: int
    fold: int | None = None
    place: Path
    title: str
    parts: Parts


class StudyPlan(Settings):
    """All that is decided before the first network is trained; lies in `plan.json`.

    A study continues only under the plan that it began with. Each kind of study has its own plan:

    kind      such as `leave-site-out study`
    command   what makes one, such as `lesionfed leave-site-out`
    page      the file of its page
    compared  part of the plan -> what an error calls it; all of them stay as they began
    """

    kind: ClassVar[str]
    command: ClassVar[str]
    page: ClassVar[str]
    compared: ClassVar[Mapping[str, str]]

    code_digest: str
    """Of the code that made the plan: two versions do not share a table."""

    labels_are_local: bool = False
    """Whether equal labels at two sites are two people, as who began the study has said."""

    @property
    @abstractmethod
    def places(self) -> tuple[DataPlace, ...]:
        """Every folder of the study with its part; `any` where it has several in turn."""

    @property
    @abstractmethod
    def data(self) -> dict[str, Path]:
        """Site -> its BIDS folder."""

    @abstractmethod
    def runs(self) -> list[PlannedRun]:
        """Every network, in the order of training."""

    @abstractmethod
    def recipe_of(self, run: PlannedRun) -> Recipe:
        """What the network of `run` is trained with."""

    @abstractmethod
    def lay_out(
        self,
        run: PlannedRun,
        new: RunFolder,
        *,
        study: Path,
        known: Sequence[RecordedPlace] = (),
    ) -> None:
        """Fills the new folder of a run: its recipe and its sites.

        study   the study's folder
        known   the study's places as they were read when it began
        """

    def folders(self, sites: tuple[str, ...]) -> dict[str, Path]:
        """Site -> its BIDS folder, of these sites in their order."""
        return {name: self.data[name] for name in sites}
