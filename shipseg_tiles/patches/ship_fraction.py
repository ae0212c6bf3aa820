"""The share of ship patches in a batch, which may change over the epochs of a training."""

from dataclasses import dataclass

from shipseg_tiles.errors import InputError


@dataclass(frozen=True)
class ShipFraction:
    """A share that goes from `first` to `last` in equal steps, one an epoch, and stays there.

    Good for a training that is to see many ships at first and a sea that is as empty as in life at last.

    Attributes:
        first: Share in the first epoch, above 0 and at most 1.
        last: Share in the last epoch, in the same range.
        epochs: Number of epochs from the first share to the last, 1 or more; 1 for a share that never changes.

    Raises:
        InputError: If a share is out of its range.
    """

    first: float
    last: float
    epochs: int

    def __post_init__(self) -> None:
        """Check the range, which NaN is not in either."""
        for share in (self.first, self.last):
            if not 0 < share <= 1:
                raise InputError(f"ship fraction {share} must be above 0 and at most 1")

    @classmethod
    def parse(cls, text: str, epochs: int) -> "ShipFraction":
        """Read `0.5`, always the same, or `0.9:0.5`, from the first of so many epochs to the last.

        Raises:
            InputError: If the text is neither, or a share is out of its range.
        """
        try:
            shares = [float(share) for share in text.split(":")]
        except ValueError:
            shares = []
        if len(shares) not in (1, 2):
            raise InputError(f"ship fraction {text!r} must be a number such as 0.5, or two of them such as 0.9:0.5")
        return cls(shares[0], shares[-1], epochs)

    @property
    def changes(self) -> bool:
        """Whether epochs differ."""
        return self.first != self.last

    def at(self, epoch: int) -> float:
        """Return the share in an epoch, counted from 0."""
        progress = min(1, epoch / max(1, self.epochs - 1))
        return self.last if progress == 1 else self.first + progress * (self.last - self.first)

    def __str__(self) -> str:
        return f"{self.first}:{self.last}" if self.changes else f"{self.first}"
