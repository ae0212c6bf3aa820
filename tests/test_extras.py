import math

import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.extras import import_extra


def test_what_is_there_is_imported():
    assert import_extra("math", "scenes") is math


@pytest.mark.parametrize("complaint", ["", "GeoTIFF needs it"])
def test_what_is_missing_is_asked_for(complaint):
    told = complaint or "no_such_module is not installed"

    with pytest.raises(InputError, match=rf"^{told}; in .*pip install -e '\.\[scenes\]'$"):
        import_extra("no_such_module", "scenes", complaint)
