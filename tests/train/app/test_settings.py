"""From flags to recipes and options."""

import importlib.util
import json

import pytest

from keras_swish import models
from keras_swish.train.trainer import distribution


def test_the_recipe_is_printed_with_the_flags_that_change_it(call):
    code, printed, _ = call("cifar", "--dataset=cifar10", "--model=wrn_28_10", "--print_recipe")
    assert code == 0
    assert "source: Zagoruyko and Komodakis 2016" in printed
    assert "milestones: (0.3, 0.6, 0.8)" in printed
    swish = ["imagenet", "--model=nasnet_mobile", "--activation=swish", "--print_recipe"]
    _, printed, _ = call(*swish, "--decay_epochs=3", "--steps=100")
    for line in ("learning_rate: 0.03", "decay_epochs: 3.0", "steps: 100", "bn_converges: True"):
        assert f"\n{line}\n" in printed
    assert "\nlearning_rate: 0.04\n" in call(*swish[:2], "--activation=relu", swish[3])[1]
    assert "\nlearning_rate: 0.1\n" in call(*swish, "--learning_rate=0.1")[1]
    # As many images, whatever the batch.
    assert "\nsteps: 3125000\n" in call(*swish, "--batch_size=128")[1]
    assert "\nsteps: 7\n" in call(*swish, "--batch_size=128", "--steps=7")[1]


NASNET = ["imagenet", "--model=nasnet_mobile", "--activation=relu", "--print_recipe"]


def printed_recipe(call, *arguments):
    code, out, err = call(*arguments)
    assert code == 0, err
    return dict(line.split(": ", 1) for line in out.splitlines())


@pytest.mark.parametrize(
    ("batch", "rate", "steps", "window"),
    [(32, 0.04, 12_500_000, 50), (256, 0.32, 1_562_500, 6.25), (1600, 2.0, 250_000, 1)],
)
def test_nasnets_recipe_follows_the_batch(call, batch, rate, steps, window):
    recipe = printed_recipe(call, *NASNET, f"--batch_size={batch}")
    assert float(recipe["learning_rate"]) == rate
    assert int(recipe["steps"]) == steps
    assert recipe["reference_batch"] == "1600"
    # As many images in the window of each average as 1,600 in 10,000 and in 3,333 steps.
    assert float(recipe["ema_momentum"]) == pytest.approx(0.9999 ** (1 / window), abs=1e-12)
    assert float(recipe["bn_momentum"]) == pytest.approx(0.9997 ** (1 / window), abs=1e-12)
    rates = json.loads("[" + recipe["learning_rates"].strip("()") + "]")
    assert rates == pytest.approx([rate, 0.75 * rate, 0.5 * rate])


@pytest.mark.parametrize("program", ["imagenet", "cifar"])
def test_swishs_learning_rate_is_obeyed_and_not_scaled(call, program):
    model = {"imagenet": "inception_v3", "cifar": "resnet8"}[program]
    asked = [program, f"--model={model}", "--print_recipe", "--swish_learning_rate=0.01"]
    for flags, rate in (
        (["--activation=swish"], 0.01),
        (["--activation=swish", "--batch_size=64"], 0.01),
        (["--activation=swish", "--learning_rate=0.5"], 0.5),
        (["--activation=relu", "--learning_rate=0.5"], 0.5),
    ):
        assert float(printed_recipe(call, *asked, *flags)["learning_rate"]) == rate
    usual = float(printed_recipe(call, *asked, "--activation=relu")["learning_rate"])
    assert usual == {"imagenet": 0.045, "cifar": 0.1}[program]


def test_swishs_learning_rate_of_the_recipe_follows_the_batch(call):
    swish = ["imagenet", "--model=inception_v3", "--activation=swish", "--print_recipe"]
    recipe = printed_recipe(call, *swish, "--batch_size=64")
    assert float(recipe["learning_rate"]) == 0.0675


@pytest.mark.parametrize(
    ("rule", "rate"), [("linear", 0.32), ("sqrt", 0.04 * 8**0.5), ("none", 0.04)]
)
def test_the_rule_of_the_learning_rate_can_be_chosen(call, rule, rate):
    recipe = printed_recipe(call, *NASNET, "--batch_size=256", f"--batch_scaling={rule}")
    assert float(recipe["learning_rate"]) == pytest.approx(rate)
    given = printed_recipe(call, *NASNET, "--batch_size=256", "--learning_rate=0.1")
    assert float(given["learning_rate"]) == 0.1


def test_the_images_of_a_device_make_the_batch(call):
    recipe = printed_recipe(call, *NASNET, "--per_device_batch=64")
    assert recipe["batch_size"] == "64"
    assert float(recipe["learning_rate"]) == 0.08
    code, _, err = call(*NASNET, "--per_device_batch=64", "--batch_size=64")
    assert code == 2
    assert "stands in place of --batch_size" in err


@pytest.mark.parametrize("flag", ["--steps=12500000", "--epochs=312"])
def test_the_default_length_changes_no_momentum(call, flag):
    recipe = printed_recipe(call, *NASNET, flag)
    assert float(recipe["bn_momentum"]) == pytest.approx(0.9997 ** (1 / 50), abs=1e-12)


@pytest.mark.parametrize(
    ("model", "recipe"),
    [
        ("resnet50", {"learning_rate": "0.1", "batch_size": "256", "epochs": "90"}),
        ("resnet152v2", {"learning_rate": "0.1", "batch_size": "256"}),
        ("densenet121", {"weight_decay": "0.0001", "schedule": "step"}),
        ("nasnet_large", {"drop_path": "0.3", "learning_rate": "0.015", "batch_size": "16"}),
        ("resnet8", {"dropout": "None", "auxiliary_weight": "0.0", "learning_rate": "0.045"}),
    ],
)
def test_every_network_has_a_recipe_for_pictures(call, model, recipe):
    printed = printed_recipe(call, NASNET[0], f"--model={model}", *NASNET[2:])
    assert recipe.items() <= printed.items()


def test_a_named_recipe_says_which_parts_the_network_lacks(call):
    asked = ["imagenet", "--model=resnet50", "--recipe=inception_v3", "--print_recipe"]
    code, _, err = call(*asked)
    assert code == 2
    assert "add --dropout=0 --auxiliary_weight=0" in err
    assert call(*asked, "--dropout=0", "--auxiliary_weight=0")[0] == 0


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


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--batch_size=65"], "--batch_size=65: must be a multiple of the 2 devices"),
        (["--batch_size=64", "--accumulation_steps=2"], "on several devices needs KERAS_BACKEND"),
    ],
)
def test_devices_that_cannot_share_a_batch_leave_no_folder(
    call, tmp_path, monkeypatch, flags, message
):
    two = distribution.Devices(2)
    monkeypatch.setattr(distribution, "start", lambda *_: two)
    models.create("resnet8", input_shape=(8, 8, 1), classes=10).save(tmp_path / "lone.keras")
    for program in (["cifar"], ["compare"], ["finetune", tmp_path / "lone.keras"]):
        code, _, err = call(*program, *flags, "--epochs=1", f"--out={tmp_path / 'out'}")
        assert code == 2
        assert message in err
        assert not (tmp_path / "out").exists()


def test_an_alpha_that_cannot_be_drawn_with_leaves_no_folder(call, tmp_path):
    for flag in ("--mixup=0.01", "--cutmix=0.01"):
        code, _, err = call("cifar", flag, f"--out={tmp_path / 'out'}")
        assert code == 2
        assert f"{flag}: must be 0 or at least 0.05" in err
        assert not (tmp_path / "out").exists()


def test_a_flag_that_does_nothing_warns(call):
    with pytest.warns(FutureWarning, match="--reference_batch does nothing"):
        code, printed, _ = call("cifar", "--print_recipe", "--reference_batch=64")
    assert code == 0
    assert "learning_rate: 0.1\n" in printed
