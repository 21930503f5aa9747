"""From flags to recipes and options."""

import importlib.util


def test_the_recipe_is_printed_with_the_flags_that_change_it(call):
    code, printed, _ = call("cifar", "--dataset=cifar10", "--model=wrn_28_10", "--print_recipe")
    assert code == 0
    assert "source: Zagoruyko and Komodakis 2016" in printed
    assert "milestones: (0.3, 0.6, 0.8)" in printed
    swish = ["imagenet", "--model=nasnet_mobile", "--activation=swish", "--print_recipe"]
    _, printed, _ = call(*swish, "--decay_epochs=3", "--steps=100")
    for line in ("learning_rate: 0.03", "decay_epochs: 3.0", "steps: 100", "bn_momentum: None"):
        assert f"\n{line}\n" in printed
    assert "\nlearning_rate: 0.04\n" in call(*swish[:2], "--activation=relu", swish[3])[1]
    assert "\nlearning_rate: 0.1\n" in call(*swish, "--learning_rate=0.1")[1]
    # As many images, whatever the batch.
    assert "\nsteps: 2500000\n" in call(*swish, "--batch_size=128")[1]
    assert "\nsteps: 7\n" in call(*swish, "--batch_size=128", "--steps=7")[1]


def test_tensorboard_without_its_package_is_refused_at_once(call, monkeypatch, tmp_path):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "tensorboard" else find_spec(name, *rest),
    )
    code, _, err = call("cifar", "--tensorboard", f"--out={tmp_path / 'run'}")
    assert code == 2
    assert "--tensorboard=True: needs tensorboard" in err
    assert not (tmp_path / "run").exists()
