"""How well a small classifier tells phantom FLAIRs from real ones, and by what.

    python -m benchmarks.phantom_realism --real FOLDER ... --phantoms FOLDER ... --out FOLDER

Both kinds of folder are searched for `*_FLAIR.nii.gz` of the brain alone: what `lesionfed-site
prepare SITE --out FOLDER --set 'task.modalities=["FLAIR"]'` writes, or images that come stripped.
A path with `catania` in it is passed over: that patient is judged and chooses nothing. `--without
WORD` passes over others, `ljubljana-cs` where that site is judged.

Every image is turned upright, brought to 1 mm (linear), and standardized as the default recipe
does, two-step, to the template of all images given. Patches of 32^3 mm lie in the brain. Two
classifiers learn which patch is a phantom's, in five folds by subject, so that no subject is on
both sides:

network    a 3D CNN of 6,000 parameters
features   logistic regression on what is known to differ between images; also on each kind of
           feature alone, which says by what phantoms are told

An accuracy is the mean of the real subjects' and the phantom subjects' mean accuracy: 0.5 is
chance, whatever their numbers. Interval: 2.5 and 97.5 % of 2,000 draws of the subjects.
`mosaic.png` in --out shows axial slices, real above phantom; `realism.json` has the figures.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage, stats

from common.arrays import BoolArray, Float32Array, FloatArray
from common.imaging.bids_name import read_name
from common.imaging.orientation import upright
from common.imaging.standardization.standardization import standardize
from common.imaging.standardization.template import subject_sums
from common.imaging.volume import read_volume
from common.seeds import derived_seed

JUDGED = "catania"
EDGE = 32
N_PATCHES = 24
N_FOLDS = 5
N_EPOCHS = 8
N_DRAWS = 2000
N_SHOWN = 6


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Image:
    """One FLAIR: (i, j, k) at 1 mm, upright, standardized, 0 outside the brain."""

    subject: str
    phantom: bool
    voxels: Float32Array
    brain: BoolArray


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Patches:
    """Patches of all subjects: (n, 32, 32, 32), and of each its subject and whether a phantom's."""

    voxels: Float32Array
    subjects: FloatArray
    phantom: BoolArray


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the accuracies; writes them and a mosaic to --out."""
    given = build_parser().parse_args(argv)
    started = time.perf_counter()
    torch.set_num_threads(1)
    images = standardized(
        flairs(given.real, without=[JUDGED, *given.without]), flairs(given.phantoms, without=[])
    )
    given.out.mkdir(parents=True, exist_ok=True)
    draw_mosaic(images, given.out / "mosaic.png")
    patches = drawn_patches(images, brain_share=given.brain_share, seed=given.seed)
    features = patch_features(patches.voxels)
    everything = np.concatenate([*features.values()], axis=1)
    n_real = len({image.subject for image in images if not image.phantom})
    n_phantom = len({image.subject for image in images if image.phantom})
    print(f"{n_real} real and {n_phantom} phantom subjects, {len(patches.voxels)} patches")
    for line in largest_differences(features, patches):
        print(line)
    table = {}
    for name, columns in {"features": everything, **features, "network": None}.items():
        if columns is None:
            right = network_folds(patches, seed=given.seed)
        else:
            right = feature_folds(columns, patches, seed=given.seed)
        accuracy, low, high = table[name] = interval(patches, right, given.seed)
        print(f"{name:10} {accuracy:.3f} ({low:.3f} to {high:.3f})", flush=True)
    print(f"{time.perf_counter() - started:.0f} s")
    record = {"real": n_real, "phantom": n_phantom, "seed": given.seed, "accuracy": table}
    (given.out / "realism.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real", type=Path, nargs="+", required=True)
    parser.add_argument("--phantoms", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--without", nargs="*", default=[], metavar="WORD")
    parser.add_argument("--brain-share", type=float, default=0.9, help="least, of a patch")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def flairs(folders: Sequence[Path], *, without: Sequence[str]) -> list[Path]:
    """The FLAIRs in the folders, by path; none whose path has a word of `without` in it."""
    paths = sorted(path for folder in folders for path in folder.rglob("*_FLAIR.nii.gz"))
    return [path for path in paths if not any(word in str(path) for word in without)]


def standardized(real: Sequence[Path], phantoms: Sequence[Path]) -> list[Image]:
    """All images on one scale. Phantom subjects are told apart by their site, too."""
    raw = [at_1_mm(path) for path in [*real, *phantoms]]
    sums = [subject_sums({"FLAIR": voxels}, voxels > 0, method="two-step") for voxels in raw]
    total = sums[0]
    for other in sums[1:]:
        total = total + other
    landmarks = np.asarray(total.template()["FLAIR"])
    images = []
    for n, (path, voxels) in enumerate(zip([*real, *phantoms], raw, strict=True)):
        brain = voxels > 0
        done = standardize(voxels, brain, method="two-step", template_landmarks=landmarks)
        phantom = n >= len(real)
        subject = read_name(path.name).entities["sub"]
        images.append(
            Image(
                subject=f"{path.parents[2].name if phantom else ''} {subject}",
                phantom=phantom,
                voxels=done.image,
                brain=brain,
            )
        )
    return images


def at_1_mm(path: Path) -> Float32Array:
    """The image in `path` upright at 1 mm, cropped to its brain and half a patch around it."""
    volume = upright(read_volume(path))
    voxels = volume.data.astype(np.float32)
    spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)
    if np.abs(spacing - 1.0).max() > 0.02:
        voxels = ndimage.zoom(voxels, spacing, order=1)
    (box,) = ndimage.find_objects((voxels > 0).astype(np.uint8))
    return np.pad(np.maximum(voxels[box], 0.0), 2)


def drawn_patches(images: Sequence[Image], *, brain_share: float, seed: int) -> Patches:
    """N_PATCHES of each subject, at random places with at least `brain_share` brain."""
    voxels, subjects, phantom = [], [], []
    names = sorted({image.subject for image in images})
    for number, name in enumerate(names):
        own = [image for image in images if image.subject == name]
        rng = np.random.default_rng(derived_seed(seed, "patches", name))
        places = []
        for image in own:
            share = ndimage.uniform_filter(image.brain.astype(np.float32), EDGE, mode="constant")
            half = EDGE // 2
            valid = np.zeros(share.shape, dtype=bool)
            valid[half:-half, half:-half, half:-half] = True
            places.append(np.argwhere(valid & (share >= brain_share)) - half)
        for _ in range(N_PATCHES):
            n = int(rng.integers(len(own)))
            i, j, k = places[n][int(rng.integers(len(places[n])))]
            voxels.append(own[n].voxels[i : i + EDGE, j : j + EDGE, k : k + EDGE])
            subjects.append(number)
            phantom.append(own[0].phantom)
    return Patches(voxels=np.stack(voxels), subjects=np.array(subjects), phantom=np.array(phantom))


def patch_features(voxels: Float32Array) -> dict[str, FloatArray]:
    """(n, some) each: histogram, edges, spectrum of each patch, and roughness along each axis."""
    flat = voxels.reshape(len(voxels), -1)
    quantiles = np.quantile(flat, (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99), axis=1).T
    shape = np.stack([flat.std(axis=1), stats.skew(flat, axis=1), stats.kurtosis(flat, axis=1)], 1)
    slopes = np.stack([np.gradient(voxels, axis=axis) for axis in (1, 2, 3)])
    steep = np.sqrt(np.square(slopes).sum(axis=0)).reshape(len(voxels), -1)
    edges = np.quantile(steep, (0.1, 0.25, 0.5, 0.75, 0.9, 0.99), axis=1).T
    rough = [
        np.quantile(
            np.abs(np.diff(voxels, 2, axis=axis)).reshape(len(voxels), -1), (0.25, 0.5, 0.9), axis=1
        )
        for axis in (1, 2, 3)
    ]
    return {
        "histogram": np.concatenate([quantiles, shape], axis=1),
        "edges": np.log(edges + 1e-4),
        "spectrum": spectrum(voxels),
        "roughness": np.log(np.concatenate(rough).T + 1e-4),
    }


def spectrum(voxels: Float32Array) -> FloatArray:
    """(n, 9), log mean power in six rings of frequency, and in the highest of each axis."""
    window = np.hanning(EDGE)
    tapered = voxels - voxels.mean(axis=(1, 2, 3), keepdims=True)
    tapered = tapered * window[:, None, None] * window[None, :, None] * window[None, None, :]
    power = np.square(np.abs(np.fft.fftn(tapered, axes=(1, 2, 3))))
    cycles = np.abs(np.fft.fftfreq(EDGE))
    x, y, z = np.meshgrid(cycles, cycles, cycles, indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2)
    rings = [(radius > low) & (radius <= low + 0.08) for low in np.arange(0.02, 0.5, 0.08)]
    rings += [(along > 0.35) & (radius < 0.5) for along in (x, y, z)]
    return np.stack([np.log(power[:, ring].mean(axis=1) + 1e-6) for ring in rings], axis=1)


def folds(patches: Patches, seed: int) -> list[BoolArray]:
    """Which patches are tested in each fold: whole subjects, of both kinds in turn."""
    rng = np.random.default_rng(derived_seed(seed, "folds"))
    fold_of: dict[float, int] = {}
    for kind in (False, True):
        own = rng.permutation(np.unique(patches.subjects[patches.phantom == kind]))
        fold_of |= {subject: n % N_FOLDS for n, subject in enumerate(own)}
    fold = np.array([fold_of[subject] for subject in patches.subjects])
    return [fold == n for n in range(N_FOLDS)]


def balance(phantom: BoolArray) -> torch.Tensor:
    """(n,), each kind's patches together weigh the same."""
    share = phantom.mean()
    return torch.from_numpy(np.where(phantom, 0.5 / share, 0.5 / (1 - share))).float()


def feature_folds(features: FloatArray, patches: Patches, *, seed: int) -> BoolArray:
    """(n,), whether logistic regression calls each patch right in the fold that tests it."""
    right = np.zeros(len(features), dtype=bool)
    for test in folds(patches, seed):
        mean, spread = features[~test].mean(axis=0), features[~test].std(axis=0) + 1e-6
        scaled = torch.from_numpy((features - mean) / spread).float()
        line = fitted_line(scaled[~test], patches.phantom[~test])
        called = (scaled[test] @ line[:-1] + line[-1] > 0).numpy()
        right[test] = called == patches.phantom[test]
    return right


def fitted_line(features: torch.Tensor, phantom: BoolArray) -> torch.Tensor:
    """(columns + 1,), slopes and offset of a logistic regression with a slight ridge."""
    target = torch.from_numpy(phantom).float()
    weight = balance(phantom)
    line = torch.zeros(features.shape[1] + 1, requires_grad=True)
    optimizer = torch.optim.LBFGS([line], max_iter=100)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        score = features @ line[:-1] + line[-1]
        value = torch.nn.functional.binary_cross_entropy_with_logits(score, target, weight)
        value = value + 1e-3 * line.square().sum()
        value.backward()  # type: ignore[no-untyped-call] # torch has not typed it
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call] # torch has not typed it
    return line.detach()


def network_folds(patches: Patches, *, seed: int) -> BoolArray:
    """(n,), whether the network calls each patch right in the fold that tests it."""
    right = np.zeros(len(patches.voxels), dtype=bool)
    voxels = torch.from_numpy(patches.voxels[:, None])
    target = torch.from_numpy(patches.phantom).float()
    for number, test in enumerate(folds(patches, seed)):
        torch.manual_seed(derived_seed(seed, "network", number))
        rng = np.random.default_rng(derived_seed(seed, "order", number))
        network = torch.nn.Sequential(
            torch.nn.Conv3d(1, 8, 3, stride=2),
            torch.nn.ReLU(),
            torch.nn.Conv3d(8, 12, 3, stride=2),
            torch.nn.ReLU(),
            torch.nn.Conv3d(12, 12, 3),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool3d(1),
            torch.nn.Flatten(),
            torch.nn.Linear(12, 1),
        )
        weight = balance(patches.phantom)
        optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-3)
        train = np.flatnonzero(~test)
        for _ in range(N_EPOCHS):
            for some in np.array_split(rng.permutation(train), max(1, len(train) // 16)):
                optimizer.zero_grad()
                loss = torch.nn.functional.binary_cross_entropy_with_logits(
                    network(voxels[some])[:, 0], target[some], weight[some]
                )
                loss.backward()  # type: ignore[no-untyped-call] # torch has not typed it
                optimizer.step()
        with torch.no_grad():
            called = network(voxels[test])[:, 0].numpy() > 0
        right[test] = called == patches.phantom[test]
    return right


def interval(patches: Patches, right: BoolArray, seed: int) -> tuple[float, float, float]:
    """Accuracy, and the ends of its interval over draws of the subjects."""
    kinds = []
    for kind in (False, True):
        own = np.unique(patches.subjects[patches.phantom == kind])
        kinds.append(np.array([right[patches.subjects == subject].mean() for subject in own]))
    rng = np.random.default_rng(derived_seed(seed, "interval"))
    draws = [np.mean([rng.choice(own, len(own)).mean() for own in kinds]) for _ in range(N_DRAWS)]
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(np.mean([own.mean() for own in kinds])), float(low), float(high)


def largest_differences(features: dict[str, FloatArray], patches: Patches) -> list[str]:
    """The features that differ most: mean of the phantoms less the real ones', in their spread."""
    found = []
    for name, columns in features.items():
        real, phantom = columns[~patches.phantom], columns[patches.phantom]
        spread = np.sqrt(0.5 * (real.var(axis=0) + phantom.var(axis=0))) + 1e-9
        for n, gap in enumerate((phantom.mean(axis=0) - real.mean(axis=0)) / spread):
            means = f"real {real[:, n].mean():.3f}, phantom {phantom[:, n].mean():.3f}"
            found.append((abs(gap), f"  {name}[{n}] {gap:+.2f} spreads: {means}"))
    return [line for _, line in sorted(found, reverse=True)[:10]]


def draw_mosaic(images: Sequence[Image], path: Path) -> None:
    """Three axial slices of up to N_SHOWN real subjects, and below of as many phantoms."""
    from PIL import Image as Pictures

    rows = []
    for kind in (False, True):
        own = {image.subject: image for image in images if image.phantom == kind}
        for level in (0.35, 0.52, 0.68):
            tiles = [_tile(image, level) for image in [*own.values()][:N_SHOWN]]
            tiles += [np.zeros_like(tiles[0])] * (N_SHOWN - len(tiles))
            rows.append(np.concatenate(tiles, axis=1))
    Pictures.fromarray(np.concatenate(rows)).save(path)


def _tile(image: Image, level: float) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """One axial slice, front upwards, grey from -2.5 to 3 standard deviations, 160 x 200."""
    shown = image.voxels[:, :, int(level * image.voxels.shape[2])]
    grey = np.where(shown == 0, 0, np.clip((shown + 2.5) / 5.5, 0.02, 1) * 255).astype(np.uint8)
    tile = np.zeros((160, 200), dtype=np.uint8)
    grey = grey[:160, :200]
    tile[: grey.shape[0], : grey.shape[1]] = grey
    return tile.T[::-1]


if __name__ == "__main__":
    raise SystemExit(main())
