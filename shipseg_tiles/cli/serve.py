"""`shipseg-tiles serve`: a page in the browser that finds ships in the images dropped on it."""

from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from shipseg_tiles.cli.common import Outcome, quiet_import
from shipseg_tiles.cli.options import EngineOptions, GateOptions, PixelOptions, SceneOptions, option
from shipseg_tiles.extras import missing_extra

_EXTRA = ("shapely", "starlette", "uvicorn")
"""What the extra `serve` brings and nothing works without."""


@dataclass(kw_only=True)
class Options(EngineOptions, SceneOptions, PixelOptions, GateOptions):
    """Options of `serve`."""

    host: str = option(
        "name or address to listen at; any but this one lets others send images", default="127.0.0.1", metavar="NAME"
    )
    port: int = option("port to listen at; 0 for any that is free", default=8000, metavar="N")
    largest_file: int = option("refuse files of more megabytes", default=200, metavar="MB")
    largest_image: int = option("refuse images of more million pixels", default=100, metavar="N")


def run(options: Options) -> Outcome:
    """Serve until stopped."""
    _check_extra()
    from shipseg_tiles.inference.options import PredictOptions
    from shipseg_tiles.serving.server import listen, run_server

    how = PredictOptions(
        weights=options.segmenter(),
        gate=options.gate_weights(),
        engine=options.engine,
        precision=options.precision,
        pixel_size=options.pixel_size,
        **options.bands_and_scale(),
    )
    how.contract()  # before the slow import, so that a wrong path is answered at once
    with listen(options.host, options.port) as listener:
        with quiet_import():
            from shipseg_tiles.inference.prediction_nets import load_nets
            from shipseg_tiles.serving.app import build_app
            from shipseg_tiles.serving.results import make_result
            from shipseg_tiles.serving.tasks import TaskQueue
            from shipseg_tiles.serving.uploads import Limits

        limits = Limits(options.largest_file, options.largest_image)
        load_nets(how)
        with (
            TemporaryDirectory(prefix="shipseg-tiles-", ignore_cleanup_errors=True) as folder,
            TaskQueue(Path(folder), partial(make_result, how)) as tasks,
        ):
            hosts = (options.host, listener.getsockname()[0])  # the address is what is printed
            run_server(build_app(tasks, how, limits, hosts), listener)
    counts = tasks.counts
    return Outcome(f"{counts['done']} images predicted, {counts['failed']} failed", {**counts})


def _check_extra() -> None:
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        raise missing_extra(f"serve needs {', '.join(missing)}", "serve")
