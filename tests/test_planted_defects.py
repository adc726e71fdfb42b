"""The tests find defects: each one that `planted_defects.py` plants makes a test fail."""

import planted_defects
import pytest


@pytest.mark.parametrize("name", planted_defects.DEFECTS)
def test_a_planted_defect_is_found(name):
    assert planted_defects.first_failure(planted_defects.DEFECTS[name])
