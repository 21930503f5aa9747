"""Shows the values of the assertions that the families share."""

import pytest

pytest.register_assert_rewrite("family_matrix")
