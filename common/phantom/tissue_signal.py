"""The signal of each tissue in FLAIR and T1w, before a scanner blurs and scales it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.phantom.grid import Field
from common.phantom.subject import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """Signal of each tissue in one sequence, white matter of the FLAIR and of the T1w near 0.6.

    lesion    signal of a lesion at full contrast
    texture   factor on the variation within tissues
    glow      factor on what is bright in FLAIR and no lesion; 0 in T1w
    flow      how much of the fluid's nulling flow undoes, 0 to 1; 0 in T1w
    grain     factor on the variation of tissue from one millimetre to the next
    vessel    signal of blood in vessels and sinuses, as a share of white matter
    vessels   0 to 1, how far vessels are seen
    remnant   signal of what stripping left outside the brain, as a share of white matter
    """

    csf: float
    cortex: float
    deep_grey: float
    white: float
    lesion: float
    texture: float
    glow: float
    flow: float
    grain: float = 0.0
    vessel: float = 0.3
    vessels: float = 0.0
    remnant: float = 0.0


def flair_signal(subject: Subject, contrast: Contrast) -> Field:
    """FLAIR signal on the anatomy's grid: fluid dark, grey over white matter, lesions bright."""
    full = contrast.lesion - contrast.white
    signal = _tissue_signal(subject, contrast)
    signal += (
        contrast.flow
        * subject.flow
        * subject.anatomy.fraction("csf")
        * (contrast.white - contrast.csf)
    )
    signal += subject.plexus * (contrast.white + 0.6 * full - contrast.csf)
    signal += contrast.glow * full * subject.glow
    signal += contrast.glow * full * subject.dura
    signal = _with_vessels(signal, subject, contrast)
    return _with_lesions(signal, subject, contrast, subject.lesions.brightness)


def t1w_signal(subject: Subject, contrast: Contrast) -> Field:
    """T1w signal on the anatomy's grid: white over grey matter over fluid, lesions like grey."""
    signal = _tissue_signal(subject, contrast)
    signal += subject.plexus * (contrast.cortex - contrast.csf)
    signal += 0.5 * subject.dura * contrast.cortex
    signal = _with_vessels(signal, subject, contrast)
    return _with_lesions(signal, subject, contrast, subject.lesions.darkness)


def _tissue_signal(subject: Subject, contrast: Contrast) -> Field:
    anatomy = subject.anatomy
    signal = contrast.csf * (anatomy.fraction("csf") + anatomy.fraction("ventricle"))
    for tissue, level in (
        ("cortex", contrast.cortex),
        ("deep_grey", contrast.deep_grey),
        ("white", contrast.white),
    ):
        signal = signal + level * anatomy.fraction(tissue)
    signal = signal + contrast.texture * contrast.white * subject.texture
    signal += contrast.grain * contrast.white * subject.grain
    signal += contrast.remnant * contrast.white * subject.remnants
    return signal.astype(np.float32)


def _with_vessels(signal: Field, subject: Subject, contrast: Contrast) -> Field:
    share = contrast.vessels * subject.vessels
    return signal + share * (contrast.vessel * contrast.white - signal)


def _with_lesions(signal: Field, subject: Subject, contrast: Contrast, share: Field) -> Field:
    lesion = subject.lesions.fraction
    ground = signal + lesion * (contrast.white - signal)
    return ground + share * (contrast.lesion - contrast.white)
