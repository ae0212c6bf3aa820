"""The nets that a prediction uses, loaded once in each process."""

from dataclasses import dataclass
from functools import lru_cache

from shipseg_tiles.inference.classifier import Classifier
from shipseg_tiles.inference.engines import load_engine
from shipseg_tiles.inference.gate import Gate
from shipseg_tiles.inference.options import PredictOptions
from shipseg_tiles.inference.predictor import Predictor


@dataclass(frozen=True)
class Nets:
    """The nets of a prediction.

    Attributes:
        predictor: The segmenter.
        gate: Says which tiles it is shown; None if all are.
        classifier: Says which images it is shown; None if all are.
    """

    predictor: Predictor
    gate: Gate | None
    classifier: Classifier | None


@lru_cache(maxsize=16)
def load_nets(options: PredictOptions) -> Nets:
    """Load all nets that the options name, once in each process.

    Raises:
        InputError: If a file is missing or holds another kind of net, or an option is out of its range.
    """
    contract = options.contract()  # before the slow part
    size = options.pixel_size
    gate = Gate.load(options.gate, contract, options.engine, pixel_size=size) if options.gate else None
    predictor = Predictor(
        load_engine(options.weights, options.engine, options.precision),
        contract,
        options.window,
        sees=gate.sees if gate else None,
    )
    classifier = None
    if options.classifier:
        classifier = Classifier.load(options.classifier, segmenter=contract, pixel_size=size)
    return Nets(predictor, gate, classifier)
