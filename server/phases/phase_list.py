"""Which phases a run has, in order: the one list of the server's side."""

from __future__ import annotations

from common.recipe.recipe import Recipe
from server.events.event_log import EventLog
from server.phases.baseline import BaselinePhase
from server.phases.lesion_metric import LesionMetricPhase
from server.phases.mining import MiningPhase
from server.phases.site_evaluation import SiteEvaluationPhase
from server.phases.site_probe import SiteProbePhase
from server.phases.site_test_cases import SiteTestPhase
from server.phases.statistics import StatisticsPhase
from server.phases.threshold import ThresholdPhase
from server.phases.training import TrainingPhase
from server.rounds.phase import Phase
from server.run.across_hospitals import AcrossHospitals
from server.run.data_record import read_record
from server.run.run_folder import Consortium, RunFolder


def phases_of(
    recipe: Recipe, consortium: Consortium, events: EventLog, *, folder: RunFolder
) -> list[Phase]:
    """What a run of this recipe consists of, in order.

    folder   where the selected round's network, and the lesion metric's, will be
    """
    n_sites = sum(site.trains for site in consortium.sites)
    n_outputs = consortium.n_head_outputs
    model_file = folder.model_file
    own = None if consortium.federation is None else read_record(folder.data_record_file)
    across = None if own is None else AcrossHospitals(own)
    phases: list[Phase] = [
        StatisticsPhase(recipe, events, across=across),
        BaselinePhase(recipe, events, has_validation_site=bool(consortium.validation)),
    ]
    if recipe.loss.lesion_wise is not None:
        file, masks = folder.lesion_metric_file, consortium.lesion_masks
        phases.append(LesionMetricPhase(recipe, file=file, masks=masks, events=events))
    if recipe.network.name == "cascade":
        phases.append(
            TrainingPhase(
                recipe, n_sites=n_sites, n_head_outputs=n_outputs, events=events, stage="first"
            )
        )
        phases.append(MiningPhase())
        phases.append(
            TrainingPhase(
                recipe, n_sites=n_sites, n_head_outputs=n_outputs, events=events, stage="second"
            )
        )
    else:
        metric_file = folder.lesion_metric_file
        phases.append(
            TrainingPhase(
                recipe,
                n_sites=n_sites,
                n_head_outputs=n_outputs,
                events=events,
                lesion_metric_file=metric_file,
            )
        )
    if recipe.inference.threshold_from == "sites":
        phases.append(ThresholdPhase(recipe, model_file=model_file, events=events))
    if recipe.federation.site_test_share > 0:
        phases.append(SiteTestPhase(model_file=model_file, events=events))
    names_of_sites = {s.name: s.pooled_from or (s.name,) for s in consortium.sites if s.trains}
    if sum(map(len, names_of_sites.values())) > 1:
        phases.append(SiteProbePhase(model_file=model_file, sites=names_of_sites, events=events))
    if any(site.role == "evaluate" for site in consortium.sites):
        phases.append(SiteEvaluationPhase(model_file=model_file, events=events))
    return phases
