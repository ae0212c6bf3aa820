"""Compare ways to train: `python benchmarks/campaign/experiments.py --images DIR --labels CSV --out DIR`.

Writes a preset for each experiment of experiments.yaml and hands them to `shipseg-tiles compare`: each is trained on
each fold for the same time and scored on full images of places that it never saw. The table is OUT/comparison.md. What
was scored is not trained again, so the command can be repeated after a break, with more folds or more experiments.

An experiment with `pretrained` starts from a net that the base has trained on synthetic scenes: no real image is seen
before the folds.
"""

import argparse
from pathlib import Path
from typing import Any

import yaml
from ship import call

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
    presets = write_presets(given, given.only.split(",") if given.only else None)
    flags = {"images": given.images, "labels": given.labels, "out": given.out, "minutes": given.minutes}
    flags |= {"folds": given.folds, "test-folds": given.folds, "presets": ",".join(map(str, presets))}
    if given.encoder_weights:
        flags["encoder-weights"] = given.encoder_weights
    call("compare", flags)


def write_presets(given: argparse.Namespace, only: list[str] | None) -> list[Path]:
    """Write the base and each experiment, or only some, as preset files; return their paths, the base first."""
    known = yaml.safe_load(EXPERIMENTS.read_text(encoding="utf-8"))
    paths = []
    for name, changes in known["experiments"].items():
        if only is None or name in ("base", *only):
            preset = {"summary": name} | merged(known["base"], changes)
            if how := preset.pop("pretrained", None):
                preset["train"]["start_from"] = str(pretrained(known["base"], how, given))
                preset["train"]["encoder_weights"] = "none"
            paths.append(given.out / "presets" / f"{name}.yaml")
            paths[-1].parent.mkdir(parents=True, exist_ok=True)
            paths[-1].write_text(yaml.safe_dump(preset), encoding="utf-8")
    return paths


def pretrained(base: dict[str, Any], how: dict[str, Any], given: argparse.Namespace) -> Path:
    """Train the base on synthetic scenes, unless an earlier run has; return the weights."""
    folder = Path(given.out, "synthetic")
    weights, scenes, store = folder / "net.keras", folder / "scenes", folder / "patches.h5"
    if not weights.is_file():
        images, labels = scenes / "train_v2", scenes / "train_ship_segmentations_v2.csv"
        encoder = {"encoder_weights": given.encoder_weights} if given.encoder_weights else {}
        call("simulate", {"out": scenes, "images": how["scenes"]})
        call("make-patches", {"images": images, "labels": labels, "out": store, **base["make-patches"]})
        call("train", {"patches": store, "out": weights, "minutes": how["minutes"], **base["train"], **encoder})
    return weights


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Put changes over the options of each verb; what else a preset has, such as `mine`, is taken as it is."""
    return changes | {verb: base[verb] | changes.get(verb, {}) for verb in VERBS}


if __name__ == "__main__":
    main()
