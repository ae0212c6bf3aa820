"""`shipseg-tiles export`: a trained net for other runtimes, checked against Keras."""

from dataclasses import asdict, dataclass
from pathlib import Path

from shipseg_tiles.cli.common import Outcome, quiet_import
from shipseg_tiles.cli.options import CommonOptions, option


@dataclass(kw_only=True)
class Options(CommonOptions):
    """Options of `export`."""

    weights: Path = option("weights with their contract beside them", metavar="FILE.keras")
    to: str = option("what to write", choices=["onnx", "openvino", "saved-model", "litert"])
    out: Path = option("folder to write, with the contract inside; it must not exist yet", metavar="DIR")
    images: Path | None = option(
        "folder or zip of images, or one image, to compare the answers on (default: simulated scenes)",
        default=None,
        metavar="DIR_OR_FILE",
    )


def run(options: Options) -> Outcome:
    """Export."""
    from shipseg_tiles.images import list_images
    from shipseg_tiles.nets.contract_file import read_contract

    paths = list_images(options.images) if options.images else []
    contract = read_contract(options.weights)  # before the slow import, so that a wrong path is answered at once
    with quiet_import():
        from shipseg_tiles.inference.export import TOLERANCE, export_net

    exported = export_net(options.weights, options.to, options.out, paths)
    data = {
        "weights": str(options.weights),
        "weights_sha256": contract.weights_sha256,
        "to": options.to,
        **asdict(exported),
        "folder": str(exported.folder),
        "tolerance": TOLERANCE,
    }
    return Outcome(
        f"{exported.folder}: {exported.bytes / 1e6:.1f} MB; on {exported.tiles} tiles probabilities differ from Keras's"
        f" by up to {exported.largest_difference:.1g}",
        data,
    )
