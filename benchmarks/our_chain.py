"""One case through the default recipe's chain; what `benchmarks/preparation.py` times."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.preparation import our_case
from common.imaging.preprocessing.chain import prepare_sessions
from common.imaging.volume import write_volume
from common.recipe.recipe import load_recipe

if __name__ == "__main__":
    t1w, flair = (Path(argument) for argument in sys.argv[1:3])
    steps = load_recipe("default").preprocessing
    (prepared,) = prepare_sessions([our_case(t1w, flair)], steps)
    for name, volume in prepared.images.items():
        write_volume(volume, t1w.with_name(f"ours-{name}.nii.gz"))
