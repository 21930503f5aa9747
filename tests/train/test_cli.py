"""The command `keras-swish`: its table of programs."""

from keras_swish.train import cli


def test_help_lists_every_command(call):
    for arguments in ([], ["--help"]):
        code, out, _ = call(*arguments)
        assert code == 0
        assert all(f"  {name} " in out for name in cli.COMMANDS)


def test_version(call):
    assert call("--version")[1].startswith("keras-swish 0.")
