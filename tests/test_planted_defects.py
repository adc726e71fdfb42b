"""The tests find defects: each one that `planted_defects.py` plants makes its test fail, which passes without it."""

import pytest
from planted_defects import DEFECTS, failures

from ser_utils.core import paths


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_found(name):
    assert set(failures([DEFECTS[name].test], DEFECTS[name], cache=paths.CACHE)) == {DEFECTS[name].test}


def test_a_copy_without_a_defect_passes():
    assert failures(sorted({defect.test for defect in DEFECTS.values()}), cache=paths.CACHE) == []
