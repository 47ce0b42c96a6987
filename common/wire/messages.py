"""What crosses the wire: one frozen class a message. What is not a field does not travel."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from common.imaging.dataset.split import Part
from common.imaging.intake.findings import Level
from common.imaging.standardization.template import FewNumbers, Template
from common.wire.feature_summary import FeatureSummary, HeadAnswers, KnownFeatures
from common.wire.field_types import (
    CHECKED,
    MOST_SITES,
    Arrays,
    Billionths,
    Count,
    Digest,
    ExchangeId,
    Finite,
    NotNegative,
    Probability,
    Score,
    ScoredPart,
    Spacing,
    Stage,
)


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class Assignment:
    """What every request to a site says about the work it belongs to.

    run           the run's name
    phase         which part of the run, such as "training"; sites name files after it
    round_index   from 1 within the phase
    recipe        the recipe's canonical JSON: the recipe travels, code does not
    code_digest   digest of the coordinator's packages; a site with other code refuses
    site          the name under which the coordinator knows this site
    site_index    the site's place among all sites of the federation, from 0; the first of its
                  places where it is several sites' data in one
    n_sites       how many sites train, each of several in one counted
    exchange_id   of this very request, drawn at random; the reply carries it back, so that an old
                  reply cannot stand in for a new one
    """

    run: str
    phase: Annotated[str, Field(pattern=r"^[a-z][a-z-]{0,59}$")]
    round_index: Annotated[int, Field(ge=1)]
    recipe: str
    code_digest: str
    site: str
    site_index: Count
    n_sites: Annotated[int, Field(ge=1, le=MOST_SITES)]
    exchange_id: ExchangeId


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class DigestQuestion:
    """Asks a site for digests of its images, salted for one run; its policy may not give them.

    labels   whether of its subjects' labels too
    """

    salt: ExchangeId
    labels: bool


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class SaltedDigests:
    """What tells that two sites have one subject or one image, and nothing else without the salt.

    See `common/imaging/intake/image_digests.py`.
    """

    labels: tuple[Digest, ...]
    images: tuple[Digest, ...]


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class StatisticsRequest:
    """Asks a site what it has, and for its sums towards the template."""

    assignment: Assignment
    digests: DigestQuestion | None = None


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class SiteStatistics:
    """A site's counts, and per modality the sum of its subjects' landmarks.

    n_template_subjects   subjects in the sums; 0 when the recipe needs no template from this site
    n_controls            of the cases, those of healthy participants
    n_findings            how many findings of each level intake made
    n_template_without    modality -> of those subjects, how many are not in its sums: they have no
                          image of it, or too few have one for the site's policy
    n_missing             optional modality -> cases without an image of it
    landmark_sums         3 relative class centres, or 13 landmarks on Nyul's standard scale
    spacing_mm            median over the cases to the right, to the front and upwards, to 0.01 mm;
                          None where the cases come from fewer subjects than the site's policy
                          allows to be summed
    n_stripped            of the cases, those whose images show a brain alone; None likewise
    digests               of subjects and images, where they were asked for and the policy gives
                          them; else None
    """

    n_cases: Count
    n_controls: Count
    n_quarantined: Count
    n_trainable: Count
    lesion_volume_ml: NotNegative
    n_findings: dict[Level, Count]
    n_template_subjects: Count
    landmark_sums: dict[str, FewNumbers]
    n_template_without: dict[str, Count] = Field(default_factory=dict)
    n_missing: dict[str, Count] = Field(default_factory=dict)
    spacing_mm: tuple[Spacing, Spacing, Spacing] | None = None
    n_stripped: Count | None = None
    digests: SaltedDigests | None = None


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class BaselineRequest:
    """Asks a site how well single thresholds on its standardized images do."""

    assignment: Assignment
    template: Template
    thresholds: tuple[Finite, ...]


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class PartFacts:
    """How many there are of everything in one part of a site's cases."""

    n_subjects: Count
    n_cases: Count
    n_lesions: Count
    lesion_volume_ml: NotNegative


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class SummedSubjects:
    """The subjects with a lesion over whose cases a site sums for a total over all sites.

    n_subjects   0 where the site keeps none for it, or its policy lets no sum over so few leave
    min_total    fewest subjects that these and those of other sites that cannot stand alone must
                 come to; where they are fewer the site's sums must not be used. 0: the site's own
                 are enough
    """

    n_subjects: Count
    min_total: Count = 0


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class BaselineSums:
    """Per threshold, the sum of Dice over the site's training cases, and how many there were.

    n_cases   0 where fewer subjects have a lesion than the site's policy allows to be summed
    parts     how the site has split its cases, without the empty parts; none at all where one has
              fewer subjects than the site's policy allows to be summed
    for_round, for_threshold   the subjects that the site will sum over when it is asked for scores
              by which a round or a decision threshold is chosen
    """

    dice_sums: tuple[NotNegative, ...]
    n_cases: Count
    parts: dict[Part, PartFacts]
    for_round: SummedSubjects
    for_threshold: SummedSubjects


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class LesionMetricRequest:
    """Gives a site the network that has learned the lesion-wise F1, to keep for the whole run."""

    assignment: Assignment
    parameters: Arrays


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class LesionMetricKept:
    """The site has it, under the digest of its content."""

    digest: Digest


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class MiningRequest:
    """Asks a site where the cascade's first network is wrong: that trains the second."""

    assignment: Assignment
    template: Template
    parameters: Arrays


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class MiningReply:
    """In how many cases how many voxels were found; the voxels stay at the site."""

    n_cases: Count
    n_negatives: Annotated[int, Field(ge=0, le=10**11)]


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class TrainRequest:
    """Asks a site to train from these parameters for one round.

    stage           which of the networks trains
    lesion_metric   digest of what a LesionMetricRequest gave the site; None without that loss
    steps           optimizer steps to take, fewer than the recipe's for a slow site; None: as many
    features        for a site loss that needs the sites' summaries; None while it is off, because
                    fewer than two sites have sent one
    optimizer_state   the sites' mean, with `optimizer.state` = "averaged"; else empty
    variates          the mean of the sites' control variates, with `federation.drift` = "scaffold";
                      else empty
    """

    assignment: Assignment
    template: Template
    parameters: Arrays
    stage: Stage = "whole"
    lesion_metric: Digest | None = None
    steps: Annotated[int, Field(ge=1)] | None = None
    features: KnownFeatures | None = None
    optimizer_state: Arrays = Field(default_factory=dict)
    variates: Arrays = Field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class SiteUpdate:
    """What one site learned in one round: parameters minus those the round began with.

    estimated_lesion_f1, true_lesion_f1   of the training patches, by the lesion metric's network
                      and as it is; None without that loss
    validation_dice   mean Dice of the *received* parameters on the cases the site keeps from
                      training; None without such a case, and where fewer subjects have one than
                      the site's policy allows to be summed (then n_validation_cases is 0)
    site_loss         None while the site loss is off
    site_gradient_ratio   length of the gradient of lambda L_reg on the encoder over that of the
                      other losses there, before its bound; mean over the steps, None likewise
    head_answers      of the *received* head behind the *received* network; None without a head, and
                      where the patches are from fewer subjects than the site's policy allows to be
                      summed
    features          site index -> summary of the *received* network's latent features: one of the
                      site's own index, more where data of several sites lie together; none without
                      a site loss that needs it, and of fewer subjects than the policy allows
    optimizer_state   as it is after the round, with `optimizer.state` = "averaged"; else empty
    optimizer_restarted   whether a state that the site should have kept was not there
    variates          change of the site's control variates, with `federation.drift` = "scaffold";
                      else empty
    not_kept          what else the site should have kept from its last round, and has not: it began
                      with zeros, or with the received norms
    n_new_subjects, n_lost_subjects   since the run began here; see `client/phases/run_split.py`
    """

    n_cases: Annotated[int, Field(ge=1, le=10**7)]
    lesion_volume_ml: NotNegative
    loss: Finite
    segmentation_loss: Finite
    site_loss: Finite | None
    estimated_lesion_f1: Score | None
    true_lesion_f1: Score | None
    validation_dice: Score | None
    n_validation_cases: Count
    wall_s: NotNegative
    change: Arrays
    site_gradient_ratio: Annotated[float, Field(ge=0)] | None = None
    head_answers: HeadAnswers | None = None
    features: dict[Count, FeatureSummary] = Field(default_factory=dict)
    optimizer_state: Arrays = Field(default_factory=dict)
    optimizer_restarted: bool = False
    variates: Arrays = Field(default_factory=dict)
    not_kept: tuple[Literal["norms", "variates"], ...] = ()
    n_new_subjects: Count = 0
    n_lost_subjects: Count = 0


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class ThresholdRequest:
    """Asks a site how a network does at each decision threshold.

    parameters   the segmentation network's, without the site head's
    smallest_mm3   volumes below which predicted lesions are dropped, each with every threshold;
                   none: those of fewer voxels than the recipe says
    """

    assignment: Assignment
    template: Template
    parameters: Arrays
    part: ScoredPart
    thresholds: Annotated[tuple[Probability, ...], Field(min_length=1, max_length=99)]
    smallest_mm3: Annotated[tuple[NotNegative, ...], Field(max_length=9)] = ()


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class ThresholdReply:
    """Per threshold, sums over one part of the site's cases, in whole numbers of 1e-9.

    dice_sums, lesion_f1_sums   of the request's first smallest volume at every threshold, then of
                          the next one
    n_dice, n_lesion_f1   cases in which the figure is defined
    n_cases               cases looked at; 0 where the site keeps none, or fewer subjects with a
                          lesion than its policy allows to be summed
    n_on_scanner_grid     of them, those scored on the scanner's own grid, not on the prepared one
    subjects              those with a lesion among the cases
    n_new_subjects, n_lost_subjects   as in `SiteUpdate`; 0 of a site that has no split
    """

    dice_sums: tuple[Billionths, ...]
    lesion_f1_sums: tuple[Billionths, ...]
    n_dice: Count
    n_lesion_f1: Count
    n_cases: Count
    n_on_scanner_grid: Count
    subjects: SummedSubjects
    n_new_subjects: Count = 0
    n_lost_subjects: Count = 0


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class FeatureRequest:
    """Asks a site for sums of what the network's encoder makes of its training cases.

    parameters   the segmentation network's, without the site head's
    """

    assignment: Assignment
    template: Template
    parameters: Arrays


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class FeatureSums:
    """Means and scatter of latent features over each half of the site's training subjects.

    site_indices   whose the subjects are: the site's own index alone, but where the cases of
                   several sites lie in one place; none where a half has fewer subjects than the
                   site's policy allows to be summed
    n_subjects, n_patches   of each index, in the first half and in the second
    features       `first.means` and `second.means` (indices, F), of the patches of each index;
                   `first.scatter` and `second.scatter` (F, F), over all patches, about the mean of
                   their own index. Nothing without an index
    """

    site_indices: tuple[Count, ...]
    n_subjects: tuple[tuple[Count, Count], ...]
    n_patches: tuple[tuple[Count, Count], ...]
    features: Arrays


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class AttributionRequest:
    """Asks a site how many of its patches two discriminants give to the right site.

    parameters      the network's, as in the FeatureRequest before
    site_indices    which site each row of a discriminant stands for
    discriminants   `first.weights` (indices, F) and `first.offsets` (indices,), fitted on every
                    site's first half and used on the second; `second.*`, the other way round
    """

    assignment: Assignment
    template: Template
    parameters: Arrays
    site_indices: tuple[Count, ...]
    discriminants: Arrays


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class AttributionSums:
    """Sums over subjects of the share of each one's patches that are given to the right site.

    site_indices   as in the FeatureSums before
    n_subjects     of each index, in the first half and in the second
    shares         the sums of the shares, likewise
    squares        the sums of their squares, likewise
    """

    site_indices: tuple[Count, ...]
    n_subjects: tuple[tuple[Count, Count], ...]
    shares: tuple[tuple[NotNegative, NotNegative], ...]
    squares: tuple[tuple[NotNegative, NotNegative], ...]


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class SiteFailure:
    """A site could not do what was asked. The text stays in the site's log: it holds paths.

    error   the class of the error, such as "SiteDataError"
    code    a short word for what to do next, such as "no-lesions"
    """

    error: Annotated[str, Field(pattern=r"^[A-Za-z]{1,60}$")]
    code: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,60}$")]


Request = (
    StatisticsRequest
    | BaselineRequest
    | LesionMetricRequest
    | MiningRequest
    | TrainRequest
    | ThresholdRequest
    | FeatureRequest
    | AttributionRequest
)
Reply = (
    SiteStatistics
    | BaselineSums
    | LesionMetricKept
    | MiningReply
    | SiteUpdate
    | ThresholdReply
    | FeatureSums
    | AttributionSums
    | SiteFailure
)
Message = Request | Reply
