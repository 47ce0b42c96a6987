"""The lesion probability of many voxels at once, equal to that of each voxel's own patch."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from common.arrays import Float32Array, IndexArray
from common.learning.networks.cascade import PATCH_SIDE, PatchCNN

HALF = PATCH_SIDE // 2
POOLED_SIDE = PATCH_SIDE // 2
"""Windows of the first pooling along an axis: 0 to 4, over voxels 0 to 9 of a patch."""

TABLE_MARGIN = 2 * (POOLED_SIDE - 1)
"""From a patch's first window to its last, in voxels."""

BLOCK_SIDE = 48
"""Candidates of one block lie in a cube of this side: its table then takes at most 180 MB."""

CANDIDATES_AT_ONCE = 256

N_VARIANTS = 8
"""Of the first convolution: with and without the taps at -1 along each of three axes."""

MOST_ROWS = (BLOCK_SIDE + TABLE_MARGIN) ** 3 * N_VARIANTS + 1
"""A block's table: each variant at each place, and a row of zeros."""


def probabilities_at(
    network: PatchCNN,
    image: Float32Array,
    voxels: IndexArray,
    *,
    device: str = "cpu",
) -> Float32Array:
    """The network's lesion probability at each voxel, (n,), in the order of `voxels`.

    image     (C, i, j, k), zeros beyond
    voxels    (n, 3), inside the image; each is the centre of a patch of 11 voxels a side

    As in evaluation, whatever mode the network is in; it is left as it is. The same as patch by
    patch, each padded with zeros inside the network, but for float32's rounding.

    The first convolution is shared by neighbours. Its padding changes only what a patch has at
    index 0 of an axis: at index 10 it has no effect, since pooling 11 to 5 drops that index. So the
    convolution is done over the volume in 8 variants, with and without the kernel's taps at -1
    along each axis, pooled at every voxel, and each patch picks its 5 x 5 x 5 windows from there.
    Of the second convolution the pooling 5 to 2 reads indices 0 to 3 alone: 4 x 4 x 4 outputs.
    Decision 0023. A group norm depends on the whole patch, so there nothing is shared.
    """
    assert image.ndim == 4, "channels first"
    assert voxels.ndim == 2, "one row a voxel"
    assert voxels.shape[1] == 3, "i, j, k"
    if not isinstance(network.norm_1, nn.BatchNorm3d):
        return _patch_by_patch(network, image, voxels, device=device)
    layers = _folded(network, device)
    probability = np.empty(len(voxels), np.float32)
    # TF32 would round to ten bits
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        # voxel c's patch and the tap before it begin at index c
        padded = functional.pad(
            torch.tensor(np.asarray(image, np.float32), device=device), (HALF + 1, HALF) * 3
        )
        memory = torch.empty(MOST_ROWS, layers.n_first, device=device)
        for members in _blocks(voxels):
            probability[members] = _in_block(voxels[members], padded, layers, memory).cpu().numpy()
    return probability


def _patch_by_patch(
    network: PatchCNN, image: Float32Array, voxels: IndexArray, *, device: str
) -> Float32Array:
    """Each voxel's probability, (n,), from a patch of its own."""
    alone = copy.deepcopy(network).to(device).eval()
    padded = np.pad(np.asarray(image, np.float32), [(0, 0), *[(HALF, HALF)] * 3])
    patches = np.lib.stride_tricks.sliding_window_view(padded, (PATCH_SIDE,) * 3, axis=(1, 2, 3))
    probability = np.empty(len(voxels), np.float32)
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for begin in range(0, len(voxels), CANDIDATES_AT_ONCE):
            i, j, k = voxels[begin : begin + CANDIDATES_AT_ONCE].T
            batch = np.ascontiguousarray(patches[:, i, j, k].swapaxes(0, 1))
            logits, _ = alone(torch.from_numpy(batch).to(device))
            probability[begin : begin + len(i)] = torch.sigmoid(logits[:, 0]).cpu().numpy()
    return probability


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Layers:
    """The network with its batch norms folded into the convolutions.

    first      (C * 27, 8 * n_first), the taps of the 8 variants; variant 4 a + 2 b + c lacks the
               taps at -1 along i where a is 1, along j where b is, along k where c is
    second     (64, n_first, 3, 3, 3)
    decision   (1, 256), lesion minus background
    """

    n_first: int
    first: torch.Tensor
    first_bias: torch.Tensor
    second: torch.Tensor
    second_bias: torch.Tensor
    dense: torch.Tensor
    dense_bias: torch.Tensor
    decision: torch.Tensor
    decision_bias: torch.Tensor

    def probability(self, windows: torch.Tensor) -> torch.Tensor:
        """(n,), from the padded windows before their rectifier, (n * 6 * 6 * 6, n_first)."""
        side = POOLED_SIDE + 1
        features = torch.relu_(windows).view(-1, side, side, side, self.n_first)
        features = functional.conv3d(features.permute(0, 4, 1, 2, 3), self.second, self.second_bias)
        features = torch.relu_(functional.max_pool3d(features, 2)).flatten(1)
        features = torch.relu_(functional.linear(features, self.dense, self.dense_bias))
        logits = functional.linear(features, self.decision, self.decision_bias)
        return torch.sigmoid(logits[:, 0])


def _folded(network: PatchCNN, device: str) -> _Layers:
    first, first_bias = _without_norm(network.conv_1, network.norm_1)
    second, second_bias = _without_norm(network.conv_2, network.norm_2)
    variants = []
    for low in product((False, True), repeat=3):
        variant = first.clone()
        for axis, is_low in enumerate(low):
            if is_low:
                variant.narrow(2 + axis, 0, 1).zero_()
        variants.append(variant.flatten(1).T)
    last = network.dense_2

    def placed(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.detach().to(device, torch.float32)

    return _Layers(
        n_first=len(first_bias),
        first=placed(torch.cat(variants, dim=1)),
        first_bias=placed(first_bias.repeat(N_VARIANTS)),
        second=placed(second).contiguous(memory_format=torch.channels_last_3d),
        second_bias=placed(second_bias),
        dense=placed(network.dense_1.weight),
        dense_bias=placed(network.dense_1.bias),
        decision=placed(last.weight[1:] - last.weight[:1]),
        decision_bias=placed(last.bias[1:] - last.bias[:1]),
    )


def _without_norm(conv: nn.Conv3d, norm: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Kernel and bias, float64, of a convolution that does what both did in evaluation."""
    assert isinstance(norm, nn.BatchNorm3d), "other norms depend on the patch"
    assert norm.running_var is not None, "PatchCNN's norms keep their statistics"
    assert norm.running_mean is not None, "PatchCNN's norms keep their statistics"
    scale = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
    kernel = conv.weight.detach().double() * scale[:, None, None, None, None]
    return kernel, norm.bias.detach().double() - norm.running_mean.double() * scale


def _blocks(voxels: IndexArray) -> Iterator[IndexArray]:
    """Which voxels lie in the same cube of BLOCK_SIDE, cube by cube; empty cubes are left out."""
    if not len(voxels):
        return
    _, cube = np.unique(voxels // BLOCK_SIDE, axis=0, return_inverse=True)
    order = np.argsort(cube, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(cube[order])) + 1)


def _in_block(
    centres: IndexArray, padded: torch.Tensor, layers: _Layers, memory: torch.Tensor
) -> torch.Tensor:
    """Lesion probability at each centre, (n,).

    centres   (n, 3), at most BLOCK_SIDE apart along an axis
    padded    the whole image, (C, i + 11, j + 11, k + 11)
    memory    (MOST_ROWS, n_first), overwritten, so that no block waits for new pages
    """
    low, high = centres.min(axis=0), centres.max(axis=0)
    i, j, k = (
        slice(a, b + PATCH_SIDE + 1) for a, b in zip(low.tolist(), high.tolist(), strict=True)
    )
    extent = (high - low + TABLE_MARGIN + 1).tolist()
    table = memory[: np.prod(extent) * N_VARIANTS + 1]
    _fill(table, padded[:, i, j, k], layers)
    rows = _first_rows(torch.from_numpy(centres - low).to(table.device), extent)
    offsets, is_padding = _window_offsets(extent, table.device)
    found = []
    for begin in range(0, len(rows), CANDIDATES_AT_ONCE):
        windows = rows[begin : begin + CANDIDATES_AT_ONCE, None] + offsets
        windows.masked_fill_(is_padding, len(table) - 1)
        found.append(layers.probability(table.index_select(0, windows.flatten())))
    return torch.cat(found)


def _fill(table: torch.Tensor, block: torch.Tensor, layers: _Layers) -> None:
    """Writes the pooled first convolution at each place of the block, before its rectifier.

    table   (i * j * k * 8 + 1, n_first); the last row becomes 0: the second convolution's padding
    block   (C, i + 3, j + 3, k + 3)

    A window of a variant that lacks an axis' taps at -1 takes its first voxel along that axis from
    the variant, its second from the whole convolution. Plane by plane: a plane stays in the cache.
    """
    table[-1] = 0
    n_i, n_j, n_k = (n - 3 for n in block.shape[1:])
    pooled = table[:-1].view(n_i, n_j, n_k, 2, 2, 2, layers.n_first)
    taps = block.unfold(1, 3, 1).unfold(2, 3, 1).unfold(3, 3, 1).permute(1, 0, 4, 5, 6, 2, 3)
    before = None
    for i, plane in enumerate(taps):
        by_voxel = plane.reshape(-1, (n_j + 1) * (n_k + 1)).T
        values = torch.addmm(layers.first_bias, by_voxel, layers.first)
        values = values.view(n_j + 1, n_k + 1, 2, 2, 2, layers.n_first)
        values = torch.maximum(values[:, :-1], values[:, 1:, :, :, :1])
        values = torch.maximum(values[:-1], values[1:, :, :, :1])
        if before is not None:
            torch.maximum(before, values[:, :, :1], out=pooled[i - 1])
        before = values


def _first_rows(places: torch.Tensor, extent: list[int]) -> torch.Tensor:
    """The table's row of variant 0 where each patch begins, (n,).

    places   (n, 3), in a table of `extent` places
    """
    i, j, k = places.T
    rows: torch.Tensor = ((i * extent[1] + j) * extent[2] + k) * N_VARIANTS
    return rows


def _window_offsets(extent: list[int], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """From a patch's first row to each of its windows, and which are padding, (6 * 6 * 6,) both.

    Padding comes before the first window along each axis.
    """
    _, n_j, n_k = extent
    offsets, is_padding = [], []
    for a, b, c in product(range(-1, POOLED_SIDE), repeat=3):
        variant = 4 * (a == 0) + 2 * (b == 0) + (c == 0)
        offsets.append(2 * ((a * n_j + b) * n_k + c) * N_VARIANTS + variant)
        is_padding.append(-1 in (a, b, c))
    return torch.tensor(offsets, device=device), torch.tensor(is_padding, device=device)
