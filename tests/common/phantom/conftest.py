"""One coarse brain, made once: the tests of this folder look at it and change nothing."""

from __future__ import annotations

import numpy as np
import pytest

from common.phantom.anatomy import Anatomy, individual, mni_anatomy
from common.phantom.grid import anatomy_grid
from common.phantom.lesions import LesionHabit, drawn_lesions
from common.phantom.subject import Subject, subject_of

SPACING_MM = 4.0


@pytest.fixture(scope="session")
def average() -> Anatomy:
    """The MNI template on a 3 mm grid."""
    return mni_anatomy(anatomy_grid(SPACING_MM))


@pytest.fixture(scope="session")
def habit() -> LesionHabit:
    """Patients with 20 mL of lesions at the median."""
    return LesionHabit(
        load_ml=20.0,
        size=2.0,
        periventricular=0.4,
        juxtacortical=0.2,
        faintest=0.5,
        edge_mm=1.2,
    )


@pytest.fixture(scope="session")
def subject(average: Anatomy, habit: LesionHabit) -> Subject:
    """One patient."""
    rng = np.random.default_rng(11)
    anatomy, _ = individual(average, rng)
    return subject_of(anatomy, drawn_lesions(anatomy, habit, rng), rng)
