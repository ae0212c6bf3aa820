"""What layers compute in while a net is trained; saved weights are float32 either way."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
from keras import ops

from shipseg_tiles.errors import InputError
from shipseg_tiles.training.options import PRECISIONS


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Build layers at a precision, and go back to the one before afterwards.

    Args:
        name: One of `PRECISIONS`; `auto` is `mixed_bfloat16` where the machine computes faster in it, else `float32`.

    Raises:
        InputError: If there is no such precision.
    """
    if name not in PRECISIONS:
        raise InputError(f"there is no precision {name!r}; choose one of {', '.join(PRECISIONS)}")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(_fastest() if name == "auto" else name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def device() -> str:
    """Return what the backend calls the device that it computes on; of a processor the name has `cpu` in some case.

    Seen on a tensor: `keras.distribution.list_devices` knows nothing of PyTorch, and fails under JAX where none is.
    """
    return str(ops.zeros(()).device)


def _fastest() -> str:
    """Say which precision the machine is fastest in.

    Processors need instructions for it, without which every number is converted. All accelerators that Keras trains on
    today have it, but for older ones, where `mixed_float16` is the user's choice.
    """
    if "cpu" not in device().lower():
        return "mixed_bfloat16"
    flags = Path("/proc/cpuinfo")
    known = flags.read_text(encoding="utf-8") if flags.is_file() else ""
    return "mixed_bfloat16" if {"amx_bf16", "avx512_bf16"} & set(known.split()) else "float32"
