"""Predictions as files: masks, pictures and the competition's submission."""

from collections.abc import Iterable
from pathlib import Path

import simplejpeg

from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.errors import InputError
from shipseg_tiles.files import write_text, written_whole
from shipseg_tiles.inference.predictor import Prediction
from shipseg_tiles.masks import write_mask
from shipseg_tiles.report.pictures import triptych
from shipseg_tiles.rle import encode_indices


def write_predictions(predictions: Iterable[Prediction], out: Path, pictures: int) -> dict[str, int]:
    """Write `masks/NAME.png`, `pictures/NAME.jpg` and, when all are done, `submission.csv` into `out`.

    Args:
        predictions: The predicted images; they are written one by one as they come.
        out: Folder, made if it is not there.
        pictures: Pictures are drawn for so many of the images.

    Returns:
        Numbers of `images`, `images_with_ships` and `ships`.

    Raises:
        InputError: If there is no prediction at all.
    """
    ships: dict[str, tuple[str, ...]] = {}
    for prediction in predictions:
        stem = Path(prediction.name).stem
        mask = prediction.mask()
        write_mask(out / "masks" / f"{stem}.png", mask, prediction.name)
        if len(ships) < pictures:
            picture = simplejpeg.encode_jpeg(triptych(prediction.image, mask), quality=90)
            with written_whole(out / "pictures" / f"{stem}.jpg") as temporary:
                temporary.write_bytes(picture)
        ships[prediction.name] = tuple(encode_indices(ship) for ship in prediction.ships)
    if not ships:
        raise InputError("none of the images could be read; the warnings above say why")
    write_text(out / "submission.csv", Labels("", ships).to_csv())
    return {
        "images": len(ships),
        "images_with_ships": sum(map(bool, ships.values())),
        "ships": sum(map(len, ships.values())),
    }
