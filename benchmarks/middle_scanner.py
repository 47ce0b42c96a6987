"""A phantom scanner with every parameter in the middle of its range, and axial slices."""

from __future__ import annotations

from common.phantom.scanner import PulseSequence, Scanner
from common.phantom.tissue_signal import Contrast

MIDDLE_SCANNER = Scanner(
    flair=PulseSequence(
        contrast=Contrast(
            csf=0.155,
            cortex=0.6875,
            deep_grey=0.605,
            white=0.55,
            lesion=1.0209,
            texture=1.425,
            glow=1.225,
            flow=0.55,
        ),
        gamma=1.0499999999999998,
        gain=1700.0,
        offset=60.0,
        bias_field=0.11000000000000001,
        noise=0.045000000000000005,
        in_plane_mm=1.15,
        slice_mm=2.3,
        slice_axis=2,
    ),
    t1w=PulseSequence(
        contrast=Contrast(
            csf=0.19,
            cortex=0.568,
            deep_grey=0.648,
            white=0.8,
            lesion=0.4885,
            texture=0.55,
            glow=0.0,
            flow=0.0,
        ),
        gamma=1.05,
        gain=1150.0,
        offset=40.0,
        bias_field=0.075,
        noise=0.05,
        in_plane_mm=1.1,
        slice_mm=1.75,
        slice_axis=2,
    ),
)
