"""`python -m shipseg_tiles` is the same as the console script `shipseg-tiles`."""

from shipseg_tiles.cli.main import main

if __name__ == "__main__":
    main()
