"""One case through the default recipe's chain; what `benchmarks/preparation.py` times."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.preparation import our_case
from common.imaging.preprocessing.chain import prepare_working_case
from common.imaging.volume import write_volume
from common.recipe.recipe import load_recipe

if __name__ == "__main__":
    t1w, flair = (Path(argument) for argument in sys.argv[1:3])
    prepared = prepare_working_case(our_case(t1w, flair), load_recipe("default").preprocessing)
    for name, volume in prepared.images.items():
        write_volume(volume, t1w.with_name(f"ours-{name}.nii.gz"))
