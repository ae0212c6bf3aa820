"""How many patches of each kind stand in a batch."""

from dataclasses import dataclass

from shipseg_tiles.errors import InputError
from shipseg_tiles.patches.ship_fraction import ShipFraction


@dataclass(frozen=True)
class BatchMix:
    """Ships, hard negatives and other background, each as a number of whole patches.

    Attributes:
        size: Patches in a batch.
        ship_fraction: Share of ship patches, which may change over the epochs.
        mined_fraction: Share of hard negatives, above 0 and below 1; or 0 for none.

    Raises:
        InputError: If a share is out of its range, gives no patch, or both are more than a batch in some epoch.
    """

    size: int
    ship_fraction: ShipFraction
    mined_fraction: float = 0.0

    def __post_init__(self) -> None:
        """Refuse shares that some epoch cannot keep."""
        if self.mined_fraction != 0 and not 0 < self.mined_fraction < 1:  # NaN is neither
            raise InputError(f"mined fraction {self.mined_fraction} must be above 0 and below 1")
        if self.mined_fraction and not self.mined:
            raise InputError(f"mined fraction {self.mined_fraction} gives 0 of {self.size} patches; use a larger one")
        fewest, most = self._fewest_and_most_ships()
        told = f"ship fraction {self.ship_fraction}"
        if not fewest:
            raise InputError(f"{told} gives 0 ships in {self.size} patches; use a larger one")
        if most + self.mined > self.size:
            raise InputError(
                f"{told} and mined fraction {self.mined_fraction} are {most} and {self.mined} patches, more than the"
                f" {self.size} of a batch; lower one of them"
            )

    @classmethod
    def parse(cls, size: int, ships: str, epochs: int = 1, mined_fraction: float = 0.0) -> "BatchMix":
        """Read the share of ships, as `ShipFraction.parse` does.

        Raises:
            InputError: If the text is no share, or no batch comes of it.
        """
        return cls(size, ShipFraction.parse(ships, epochs), mined_fraction)

    @property
    def mined(self) -> int:
        """Hard negatives in each batch."""
        return round(self.size * self.mined_fraction)

    def ships(self, epoch: int) -> int:
        """Return the ship patches in each batch of an epoch, counted from 0."""
        return round(self.size * self.ship_fraction.at(epoch))

    def background(self, epoch: int) -> int:
        """Return the other background in each batch of an epoch."""
        return self.size - self.ships(epoch) - self.mined

    @property
    def needs_background(self) -> bool:
        """Whether some epoch holds other background."""
        return self._fewest_and_most_ships()[0] + self.mined < self.size

    def _fewest_and_most_ships(self) -> tuple[int, int]:
        ends = [round(self.size * share) for share in (self.ship_fraction.first, self.ship_fraction.last)]
        return min(ends), max(ends)
