"""Patches as another scanner might have shown them."""

from __future__ import annotations

import numpy as np

from common.arrays import BoolArray, Float32Array
from common.learning.augmentation.intensity_curve import along_curve, drawn_slopes
from common.learning.augmentation.resolution import along_axes, drawn_resolution

CURVE = 0.75
"""Probability that the contrast is another one."""

NOISE, MOST_NOISE = 0.5, 0.3
"""Probability; standard deviation of the noise, drawn from 0 to this, in z."""

BIAS, MOST_BIAS = 0.5, 0.12
"""Probability; standard deviation of the logarithm of the bias field, drawn from 0 to this: what
is left of it after preprocessing."""

BIAS_POINTS = 3
"""Points along each axis of a patch where the field is drawn; it is linear between them."""

GAINS, MOST_OFFSET = (0.8, 1.25), 0.3
"""The z-score's deviation and mean depend on more than the scanner: atrophy, lesions, the mask."""

AIR = -4.0
"""z at which the scanner's own intensity is 0: a brain's mean is about four of its deviations above
it. Bias multiplies from there, and the noise of dark voxels lies above."""


def as_other_scanner(
    images: Float32Array, lesions: BoolArray, random: np.random.Generator
) -> tuple[Float32Array, BoolArray]:
    """Images as another scanner might have shown them; lesions as they are.

    images    (C, i, j, k), standardized, 0 outside the brain: these voxels stay 0
    lesions   (R, i, j, k)
    Source    random changes of contrast, sharpness, noise and intensity, one after the other, for
              sites that nobody has seen: Zhang et al. 2020 (BigAug), arXiv:1906.03347; resolution
              and bias field: Billot et al. 2023 (SynthSeg), arXiv:2107.09559.
    Chosen    each channel by itself, so that of two dates each has a scanner of its own; the order
              curve, resolution, noise, bias field, gain and offset; every probability and range.
              What lies beyond the brain is taken to be as bright as its mean.
    """
    found = np.zeros_like(images)
    for channel, image in enumerate(images):
        brain = image != 0
        if brain.any():
            found[channel] = np.where(brain, _as_other_scanner(image, random), np.float32(0))
    return found, lesions


def _as_other_scanner(image: Float32Array, random: np.random.Generator) -> Float32Array:
    if random.random() < CURVE:
        image = along_curve(image, drawn_slopes(random))
    image = along_axes(image, drawn_resolution(image.shape, random))
    if random.random() < NOISE:
        image = with_rician_noise(image, random.uniform(0, MOST_NOISE), random)
    if random.random() < BIAS:
        image = with_bias(image, random.uniform(0, MOST_BIAS), random)
    gain = np.exp(random.uniform(*np.log(GAINS)))
    return image * np.float32(gain) + np.float32(random.uniform(-MOST_OFFSET, MOST_OFFSET))


def with_rician_noise(
    image: Float32Array, deviation: float, random: np.random.Generator
) -> Float32Array:
    """The magnitude of image and complex noise, any shape; nothing is darker than AIR.

    deviation   of each of the noise's two parts, in z
    Source      Gudbjartsson and Patz 1995: the magnitude of a complex signal with Gaussian noise.
    Chosen      the second part is the first from the other end, which takes half of the time.
    """
    noise = random.standard_normal(image.shape, np.float32)
    noise *= np.float32(deviation)
    signal = np.maximum(image - np.float32(AIR), 0)
    magnitude: Float32Array = np.sqrt((signal + noise) ** 2 + np.flip(noise) ** 2)
    return magnitude + np.float32(AIR)


def with_bias(image: Float32Array, deviation: float, random: np.random.Generator) -> Float32Array:
    """The image (i, j, k) times a smooth field, from AIR on.

    deviation   of the field's logarithm at the points where it is drawn
    """
    field = random.standard_normal((BIAS_POINTS,) * 3, np.float32) * np.float32(deviation)
    for n in image.shape:  # each time the first axis is enlarged, and moves to the end
        place = np.linspace(0, BIAS_POINTS - 1, n, dtype=np.float32)[:, None]
        enlarging = np.maximum(1 - np.abs(place - np.arange(BIAS_POINTS, dtype=np.float32)), 0)
        field = np.tensordot(field, enlarging, (0, 1))
    factor: Float32Array = np.exp(field)
    return (image - np.float32(AIR)) * factor + np.float32(AIR)
