"""Compare ways to train: `python benchmarks/campaign/experiments.py --images DIR --labels CSV --out DIR`.

Writes a preset for each experiment of experiments.yaml and hands them to `shipseg-tiles compare`: each is trained on
each fold for the same time and scored on full images of places that it never saw. The table is OUT/comparison.md. What
was scored is not trained again, so the command can be repeated after a break, with more folds or more experiments.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from shipseg_tiles.cli.common import flag_words

EXPERIMENTS = Path(__file__).with_name("experiments.yaml")
VERBS = ("make-patches", "train")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True)
    parser.add_argument("--labels", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", help="names of experiments, with commas between; the base is always among them")
    parser.add_argument("--minutes", default="8")
    parser.add_argument("--folds", default="3")
    parser.add_argument("--encoder-weights", default="", help="path of ImageNet's weights, to do without the download")
    given = parser.parse_args()
    presets = write_presets(given.out / "presets", given.only.split(",") if given.only else None)
    flags = {"images": given.images, "labels": given.labels, "out": given.out, "minutes": given.minutes}
    flags |= {"folds": given.folds, "test-folds": given.folds, "presets": ",".join(map(str, presets))}
    if given.encoder_weights:
        flags["encoder-weights"] = given.encoder_weights
    words = [word for name, value in flags.items() for word in flag_words(name, value)]
    sys.exit(subprocess.run([sys.executable, "-m", "shipseg_tiles", "compare", *words], check=False).returncode)


def write_presets(folder: Path, only: list[str] | None) -> list[Path]:
    """Write the base and each experiment, or only some, as preset files; return their paths, the base first."""
    known = yaml.safe_load(EXPERIMENTS.read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, changes in known["experiments"].items():
        if only is None or name in ("base", *only):
            paths.append(folder / f"{name}.yaml")
            preset = {"summary": name} | merged(known["base"], changes)
            paths[-1].write_text(yaml.safe_dump(preset), encoding="utf-8")
    return paths


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Put changes over the options of each verb; what else a preset has, such as `mine`, is taken as it is."""
    return changes | {verb: base[verb] | changes.get(verb, {}) for verb in VERBS}


if __name__ == "__main__":
    main()
