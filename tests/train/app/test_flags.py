"""Groups of flags: what is defined, and by whom."""

import pytest
from absl import flags as absl_flags
from absl.flags import FlagValues

from keras_swish.train.app import flags
from keras_swish.train.trainer import recipes


def parsed(*arguments, define=flags.define_recipe_flags):
    flag_values = FlagValues()
    define(flag_values)
    flag_values(["program", *arguments])
    return flag_values


@pytest.mark.slow
def test_importing_every_program_defines_no_flag(python):
    python(
        "-c",
        "from absl import flags\n"
        "before = set(flags.FLAGS)\n"
        "import importlib\n"
        "from keras_swish.train import cli\n"
        "for name in cli.COMMANDS:\n"
        "    importlib.import_module(f'keras_swish.train.{name}')\n"
        "new = {flag for flag in set(flags.FLAGS) - before\n"
        "    if flags.FLAGS.find_module_defining_flag(flag).startswith('keras_swish')}\n"
        "assert not new, new",
    )


def test_a_field_of_the_recipe_is_a_flag_with_its_help_and_limits():
    flag_values = parsed("--epochs=3", "--milestones=0.25,0.5", "--nonesterov")
    assert (flag_values.epochs, flag_values.nesterov) == (3, False)
    assert flag_values.milestones == [0.25, 0.5]
    assert flag_values.learning_rate is None
    with pytest.raises(absl_flags.IllegalFlagValueError):
        parsed("--momentum=1.5")
    with pytest.raises(absl_flags.IllegalFlagValueError, match="cosine"):
        parsed("--schedule=linear")


def test_fields_that_a_program_does_not_obey_are_left_out():
    everything = set(flags.RECIPE_FIELDS)
    assert set(recipes.DEFAULTS) <= everything
    flag_values = FlagValues()
    flags.define_recipe_flags(flag_values, without=["dropout", "drop_path"])
    assert set(flag_values) == everything - {"dropout", "drop_path"} | {"recipe", "print_recipe"}
