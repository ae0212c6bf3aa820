"""How well images are told apart, ship or no ship, and the threshold that does it best."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.scoring.dice import dice_from_counts


@dataclass(frozen=True)
class Classification:
    """Answers, ship or no ship, against the truth.

    Attributes:
        true_positives: Images with a ship that were said to show one.
        false_positives: Images without that were said to show one.
        false_negatives: Images with a ship that were said to show none.
        true_negatives: Images without that were said to show none.
    """

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @property
    def precision(self) -> float | None:
        """Share of the images said to show a ship that do, 0 to 1; None if no image was said to."""
        return _share(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float | None:
        """Share of the images with a ship that were said to show one, 0 to 1; None if no image has a ship."""
        return _share(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN), the dice of two sets of images, 0 to 1; 1 if both are empty."""
        truth, answered = self.true_positives + self.false_negatives, self.true_positives + self.false_positives
        return dice_from_counts(truth, answered, self.true_positives)

    def summary(self) -> dict[str, float | None]:
        """Return scores and counts by name."""
        scores = {"f1": self.f1, "precision": self.precision, "recall": self.recall}
        return scores | {field.name: getattr(self, field.name) for field in fields(self)}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def compare_labels(answers: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Classification:
    """Count right and wrong answers.

    Args:
        answers: bool (N,), whether the image was said to show a ship.
        truth: bool (N,), whether it has one.
    """
    return Classification(
        true_positives=int(np.count_nonzero(answers & truth)),
        false_positives=int(np.count_nonzero(answers & ~truth)),
        false_negatives=int(np.count_nonzero(~answers & truth)),
        true_negatives=int(np.count_nonzero(~answers & ~truth)),
    )


def best_threshold(probabilities: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Find the threshold above which a probability means a ship, so that F1 is highest.

    Only the gaps between neighbouring probabilities differ. Of those with the highest F1 the widest is taken (the
    lowest of equally wide ones), and its middle: what is seen next will fall close to what was seen.

    Args:
        probabilities: (N,) of a net, 0 to 1: values of float32, in whatever dtype.
        truth: bool (N,), whether the image has a ship.

    Returns:
        The threshold, above 0 and below 1; 0.5 for no image.
    """
    edges, edge_of = np.unique(np.concatenate(([0.0, 1.0], probabilities)), return_inverse=True)
    edge_of = edge_of[2:]
    # Counted at each edge and above it: a threshold between two edges says ship to what lies from the upper one on.
    with_ship = np.bincount(edge_of, weights=truth, minlength=len(edges))[::-1].cumsum()[::-1]
    images = np.bincount(edge_of, minlength=len(edges))[::-1].cumsum()[::-1]
    counts = zip(images[1:].tolist(), with_ship[1:].tolist(), strict=True)
    f1 = np.array([dice_from_counts(int(with_ship[0]), answered, right) for answered, right in counts])
    widths = np.where(f1 == f1.max(), np.diff(edges), 0)
    gap = int(widths.argmax())
    return float(edges[gap] + widths[gap] / 2)
