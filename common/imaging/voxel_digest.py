"""What identifies the voxels of an image, whatever its file is called and however it is stored."""

from __future__ import annotations

import hashlib

import numpy as np

from common.imaging.orientation import upright
from common.imaging.volume import Volume

DIGEST_BYTES = 16


def voxel_digests(volume: Volume) -> tuple[bytes, ...]:
    """One digest of the voxels in RAS order, and another as they are stored where that differs.

    Two files with a digest in common hold the same values in the same place: the type and the scale
    on disk, the compression and the name do not count. In RAS order the order of storage does not
    count; as stored, what the header says of the place does not.
    """
    turned = upright(volume)
    if turned is volume:
        return (_digest(volume),)
    return tuple(dict.fromkeys((_digest(turned), _digest(volume))))


def _digest(volume: Volume) -> bytes:
    """Of shape and values as float32; a mask's are 0 and 1."""
    values = np.ascontiguousarray(volume.data, dtype=np.float32) + np.float32(0)  # no -0
    values[np.isnan(values)] = np.nan  # there are many
    digest = hashlib.blake2b(str(values.shape).encode(), digest_size=DIGEST_BYTES)
    digest.update(values.data)
    return digest.digest()
