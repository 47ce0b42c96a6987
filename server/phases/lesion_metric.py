"""Before training: a network learns the lesion-wise F1 from masks, and every site gets it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Generator, Mapping
from pathlib import Path

import safetensors.numpy
import torch

from common.errors import ConfigError, UpdateRejected
from common.files import write_whole
from common.learning.lesion_wise.lesion_masks import masks_from_folder
from common.learning.lesion_wise.train_metric_network import masks_wanted, train_metric_network
from common.recipe.recipe import Recipe
from common.seeds import derived_seed
from common.wire.field_types import Arrays
from common.wire.messages import LesionMetricKept, LesionMetricRequest
from server.events.event_log import EventLog
from server.events.lesion_metric_warnings import missed_aims
from server.events.schema import LesionMetricStep, LesionMetricTrained
from server.rounds.phase import Exchange, Phase
from server.run.run_state import RunState

log = logging.getLogger(__name__)


class LesionMetricPhase(Phase):
    """One exchange: the trained network out, once; its digest back.

    Where the network misses its aims the run warns, or stops: `loss.lesion_wise.on_missed_aims`.

    file    the network in the run folder: trained once, also where the run is cut off and resumed
    masks   a folder of lesion masks to learn from; None: masks are drawn
    Source  Kamraoui 2021: trained beforehand, frozen while the segmenter trains. It needs masks
            only, so the coordinator can train it without a hospital's data (chosen).
    """

    name = "lesion-metric"

    def __init__(self, recipe: Recipe, *, file: Path, masks: Path | None, events: EventLog) -> None:
        self._recipe = recipe
        self._file = file
        self._masks = masks
        self._events = events

    def begin(self, state: RunState) -> RunState:
        """The state as it is, once the network lies in its file."""
        if not self._file.exists():
            self._train()
        return state

    def round(self, state: RunState) -> Generator[Exchange, None, RunState]:
        """The state with the digest under which the sites keep the network."""
        parameters: Arrays = dict(safetensors.numpy.load(self._file.read_bytes()))
        digest = hashlib.sha256(safetensors.numpy.save(parameters)).hexdigest()
        yield _exchange_of(parameters, digest)
        return dataclasses.replace(state, lesion_metric=digest)

    def _train(self) -> None:
        settings = self._recipe.loss.lesion_wise
        assert settings is not None, "the phase is there for this loss alone"

        def record_step(step: int, loss: float) -> None:
            if step % max(1, settings.steps // 20) == 0:
                self._events.record(LesionMetricStep(step=step, n_steps=settings.steps, loss=loss))

        shape = self._recipe.sampling.patch_shape
        seed = derived_seed(self._recipe.seed, "lesion-metric")
        masks = None
        if self._masks is not None:
            n, n_held_out = masks_wanted(settings)
            masks = masks_from_folder(
                self._masks, patch_shape=shape, n=n, n_held_out=n_held_out, seed=seed
            )
        torch.set_num_threads(self._recipe.compute.threads)
        trained = train_metric_network(
            settings, patch_shape=shape, seed=seed, masks=masks, on_step=record_step
        )
        figures = dataclasses.asdict(trained.figures)
        learned = LesionMetricTrained(
            **figures, patch_shape=shape, accepted=trained.figures.accepted
        )
        self._events.record(learned)
        if not learned.accepted and settings.on_missed_aims == "stop":
            raise ConfigError(
                f"loss.lesion_wise: {missed_aims(learned)}. Nothing has been trained with it. "
                "Raise loss.lesion_wise.n_pairs and loss.lesion_wise.steps, or set "
                'loss.lesion_wise.on_missed_aims to "warn"'
            )
        metadata = {"figures": json.dumps(figures)}
        write_whole(self._file, safetensors.numpy.save(dict(trained.parameters), metadata=metadata))


def resend_lesion_metric(file: Path, digest: str) -> Exchange:
    """The exchange that sends the network again, for the sites that do not have it.

    No number of replies is needed: whether enough sites can train shows when they train.
    """
    parameters: Arrays = dict(safetensors.numpy.load(file.read_bytes()))
    exchange = _exchange_of(parameters, digest)
    return dataclasses.replace(exchange, quorum=0, phase=LesionMetricPhase.name)


def _exchange_of(parameters: Arrays, digest: str) -> Exchange:
    def accumulate(site: str, reply: LesionMetricKept) -> Mapping[str, object]:
        if reply.digest != digest:
            raise UpdateRejected(
                f"site {site}: want the lesion metric under {digest[:12]}, it keeps "
                f"{reply.digest[:12]}"
            )
        return {}

    return Exchange(
        request=lambda assignment: LesionMetricRequest(
            assignment=assignment, parameters=parameters
        ),
        reply=LesionMetricKept,
        accumulate=accumulate,
        roles=("train",),
    )
