"""How well the learned lesion metric estimates lesion F1, on generated pairs and on real answers.

    python -m benchmarks.lesion_metric [--patch-shape 64 64 64] [--seed 0]

Trains the metric network on synthetic masks with one thread, then a small U-Net on synthetic images
(lesions, clouds and noise), whose answers after 25, 50, 100, 200 and 300 steps are judged apart.
Prints mean absolute error, bias, rank correlation and the error in each tenth of true lesion F1.
Wanted: error at most 0.06 and rank correlation at least 0.95 on generated pairs, of which it says
whether they are met; rank correlation at least 0.8 on the U-Net's answers.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from common.arrays import BoolArray, Float32Array
from common.errors import GeometryError
from common.learning.lesion_wise.lesion_events import true_lesion_f1
from common.learning.lesion_wise.lesion_masks import Shape, masks_from_folder, synthetic_masks
from common.learning.lesion_wise.lesion_wise_loss import frozen_metric_network
from common.learning.lesion_wise.metric_figures import MetricFigures, estimates_of, figures_of
from common.learning.lesion_wise.metric_network import MetricNetwork
from common.learning.lesion_wise.train_metric_network import masks_wanted, train_metric_network
from common.learning.losses.soft_dice import soft_dice_loss
from common.learning.networks.unet import build_unet
from common.recipe.loss import LEAST_SPEARMAN, MOST_MAE, LesionWise
from common.recipe.network import UNetSettings
from common.seeds import derived_seed

LOOKS = (25, 50, 100, 200, 300)
N_JUDGED = 60
"""Patches on which the U-Net is judged at each look."""
UNET = UNetSettings(name="unet", widths=(4, 8, 12, 16, 16), norm="instance")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = build_parser().parse_args(argv)
    torch.set_num_threads(1)
    i, j, k = arguments.patch_shape
    shape: Shape = (i, j, k)
    settings = LesionWise(
        weight=0.2,
        widths=tuple(arguments.widths),
        n_pairs=arguments.n_pairs,
        steps=arguments.steps,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
    )
    print(f"{platform.node()}, one thread, patch {shape}, seed {arguments.seed}")
    print(settings)
    masks = None
    if arguments.masks is not None:
        n, n_held_out = masks_wanted(settings)
        masks = masks_from_folder(
            arguments.masks, patch_shape=shape, n=n, n_held_out=n_held_out, seed=arguments.seed
        )
    start, start_cpu = time.perf_counter(), time.process_time()

    def say(step: int, loss: float) -> None:
        if step % 50 == 0:
            seconds = time.process_time() - start_cpu
            print(f"  step {step}: loss {loss:.4f}, {seconds:.0f} s", flush=True)

    trained = train_metric_network(
        settings, patch_shape=shape, seed=arguments.seed, masks=masks, on_step=say
    )
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    n_values = sum(values.size for values in trained.parameters.values())
    print(f"trained in {cpu:.0f} s of processor time ({seconds:.0f} s by the clock)")
    print(f"{n_values} parameters")
    show("generated pairs", trained.figures)
    print(
        f"    aims ({MOST_MAE}, {LEAST_SPEARMAN}) {'met' if trained.figures.accepted else 'missed'}"
    )
    network = frozen_metric_network(settings, trained.parameters, patch_shape=shape)
    answers = half_trained_answers(shape, seed=arguments.seed)
    for step, (references, probabilities) in answers.items():
        show(f"U-Net after {step} steps", figures_on(network, references, probabilities))
    together = [np.concatenate(part) for part in zip(*answers.values(), strict=True)]
    show("U-Net, all looks", figures_on(network, together[0], together[1]))
    return 0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--patch-shape", type=int, nargs=3, default=(32, 32, 32), help="voxels (32 32 32)"
    )
    parser.add_argument("--n-pairs", type=int, default=4000, help="training pairs (4000)")
    parser.add_argument("--steps", type=int, default=800, help="training steps (800)")
    parser.add_argument("--batch-size", type=int, default=16, help="pairs a step (16)")
    parser.add_argument("--learning-rate", type=float, default=0.01, help="AdamW's (0.01)")
    parser.add_argument("--widths", type=int, nargs="+", default=(16, 24, 32), help="(16 24 32)")
    parser.add_argument("--masks", type=Path, help="folder of NIfTI masks; default synthetic ones")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def show(name: str, figures: MetricFigures) -> None:
    spearman = "undefined" if figures.spearman is None else f"{figures.spearman:.3f}"
    print(
        f"{name}: {figures.n_pairs} pairs, MAE {figures.mae:.4f}, bias {figures.bias:+.4f}, "
        f"Spearman {spearman}"
    )
    cells = [
        f"{n}: -" if mae is None else f"{n}: {mae:.3f}"
        for n, mae in zip(figures.n_by_bin, figures.mae_by_bin, strict=True)
    ]
    print(f"    pairs and MAE by tenth  {'  '.join(cells)}", flush=True)


def figures_on(
    network: MetricNetwork,
    references: Sequence[BoolArray] | BoolArray,
    probabilities: Sequence[Float32Array] | Float32Array,
) -> MetricFigures:
    """How well the network estimates lesion F1 of a segmenter's probability maps.

    references      n masks (i, j, k) of one shape
    probabilities   n maps of the same shape, in [0, 1]; the true lesion F1 is that above 0.5
    GeometryError where there is no pair, or numbers or shapes differ.
    """
    shapes = {np.shape(array) for array in (*references, *probabilities)}
    if len(references) != len(probabilities) or len(shapes) != 1:
        raise GeometryError(
            "want as many references as probability maps, at least one and all of one shape, got "
            f"{len(references)} and {len(probabilities)} of shapes {sorted(shapes)}. Cut patches "
            "of one shape."
        )
    targets = [
        true_lesion_f1(np.asarray(reference, bool), np.asarray(probability) > 0.5)
        for reference, probability in zip(references, probabilities, strict=True)
    ]
    estimates = estimates_of(network, references, probabilities)
    return figures_of(estimates, np.array(targets, np.float32))


def half_trained_answers(
    shape: tuple[int, int, int], *, seed: int
) -> dict[int, tuple[BoolArray, Float32Array]]:
    """Steps -> references and probabilities of a U-Net on its way, (n, i, j, k) each."""
    random = np.random.default_rng(derived_seed(seed, "images"))
    ours = synthetic_masks(200, patch_shape=shape, seed=derived_seed(seed, "segmenter's masks"))
    judged = synthetic_masks(
        N_JUDGED, patch_shape=shape, seed=derived_seed(seed, "judged segmenter's masks")
    )
    judged_images = np.stack([image_of(mask, random) for mask in judged])
    network = build_unet(UNET, n_channels=1, n_outputs=1, seed=derived_seed(seed, "segmenter"))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    answers = {}
    for step in range(1, max(LOOKS) + 1):
        masks = ours[random.integers(len(ours), size=2)]
        images = np.stack([image_of(mask, random) for mask in masks])[:, None]
        logits, _ = network(torch.from_numpy(images))
        loss = soft_dice_loss(logits, torch.from_numpy(masks[:, None]), over="patch", epsilon=1e-5)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        optimizer.step()
        if step in LOOKS:
            with torch.inference_mode():
                found = [
                    torch.sigmoid(network(torch.from_numpy(image)[None, None])[0])[0, 0].numpy()
                    for image in judged_images
                ]
            answers[step] = (judged, np.stack(found))
    return answers


def image_of(mask: BoolArray, random: np.random.Generator) -> Float32Array:
    """A brighter image where the mask is true, behind clouds and noise; (i, j, k)."""
    clouds = ndimage.gaussian_filter(random.standard_normal(mask.shape, dtype=np.float32), 2)
    image = ndimage.gaussian_filter(mask.astype(np.float32), 0.7)
    image *= np.float32(random.uniform(0.7, 1.3))
    image += np.float32(0.3) * clouds / clouds.std()
    image += np.float32(0.15) * random.standard_normal(mask.shape, dtype=np.float32)
    return image


if __name__ == "__main__":
    raise SystemExit(main())
