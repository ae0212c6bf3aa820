"""Time `shipseg-tiles --help` as a whole process: `python benchmarks/help.py`."""

import subprocess
import sys
import time

COMMAND = [sys.executable, "-m", "shipseg_tiles", "--help"]
HEAVY = ("tensorflow", "keras", "pandas", "numpy")


def main() -> None:
    seconds = []
    for _ in range(11):
        began = time.perf_counter()
        subprocess.run(COMMAND, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - began)
    imports = subprocess.run(
        [sys.executable, "-X", "importtime", *COMMAND[1:]], check=True, capture_output=True, text=True
    ).stderr
    heavy = [name for name in HEAVY if f"| {name}\n" in imports]
    print(f"--help: {sorted(seconds)[5]:.3f} s (median of {len(seconds)})")
    print(f"of {', '.join(HEAVY)} it imports {', '.join(heavy) or 'none'}")


if __name__ == "__main__":
    main()
