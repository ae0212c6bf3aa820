import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.serving.uploads import Limits


@pytest.mark.parametrize(
    ("megabytes", "megapixels", "flag"), [(0, 1, "--largest-file 0"), (1, -5, "--largest-image -5")]
)
def test_limits_that_refuse_everything_are_refused(megabytes, megapixels, flag):
    with pytest.raises(InputError, match=flag):
        Limits(megabytes, megapixels)
