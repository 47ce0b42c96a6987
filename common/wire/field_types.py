"""What the fields of messages may hold: types with their bounds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy.typing as npt
from pydantic import ConfigDict, Field

Arrays = dict[str, npt.NDArray[Any]]
"""Name -> array; float32, float64 or int64 (see codec.py)."""

CHECKED = ConfigDict(extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)
"""Every field is checked when a message is made, on either side."""

Count = Annotated[int, Field(ge=0, le=10**7)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Billionths = Annotated[int, Field(ge=0, le=10**16)]
Probability = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Stage = Literal["whole", "first", "second"]
"""Which part of a network is trained: all of it, or one of a cascade's two."""
ScoredPart = Literal["validation", "threshold", "test", "all"]
"""Which of its own cases a site scores; all: a site that never trains, all it has."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ExchangeId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
SPACING_MM = (0.01, 100.0)
"""Spacings outside are in another unit and do not travel."""
Spacing = Annotated[float, Field(ge=SPACING_MM[0], le=SPACING_MM[1], allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
MOST_SITES = 10_000
"""A site head has an output for each; a site makes the head before it looks at the parameters."""
MOST_FEATURES = 4096
"""Latent features that a network may have; the widest of ours has 256."""
MOST_FEATURE, MOST_VARIANCE = 1e6, 1e12
Feature = Annotated[float, Field(ge=-MOST_FEATURE, le=MOST_FEATURE, allow_inf_nan=False)]
Variance = Annotated[float, Field(ge=0, le=MOST_VARIANCE, allow_inf_nan=False)]
"""Of a network whose features are larger, nothing is summed up."""
