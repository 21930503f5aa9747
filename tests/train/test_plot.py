"""Figures of activations from the command line."""

import keras

import keras_swish


def test_plot_draws_names_and_formulas(call, tmp_path):
    out = tmp_path / "figure.png"
    code, printed, err = call("plot", "swish", "x * tanh(softplus(x))", f"--out={out}")
    assert code == 0, err
    assert printed.strip() == f"figure: {out}"
    assert out.read_bytes().startswith(b"\x89PNG")
    assert call("plot", f"--out={tmp_path / 'minus.svg'}", "--", "-x")[0] == 0
    code, _, err = call("plot", "swish", f"--out={out}")
    assert code == 2
    assert "exists; choose another name" in err
    code, _, err = call("plot", "swich", f"--out={out}")
    assert code == 2
    assert "Did you mean 'swish'" in err
    code, _, err = call("plot", "swish", f"--out={tmp_path / 'no/figure.png'}")
    assert code == 2
    assert f"there is no folder {tmp_path / 'no'}; make it first" in err


def test_plot_draws_the_betas_of_a_run(call, tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras_swish.Swish()])
    model.save(tmp_path / "model.keras")
    for number, argument in enumerate((tmp_path, tmp_path / "model.keras")):
        out = tmp_path / f"betas{number}.svg"
        code, _, err = call("plot", argument, f"--out={out}")
        assert code == 0, err
        assert out.stat().st_size > 5_000


def test_the_ends_of_an_axis_that_is_not_drawn_are_refused(call, tmp_path):
    code, _, err = call("plot", "--low=-8", f"--out={tmp_path / 'gallery.svg'}")
    assert code == 2
    assert "--low=-8.0: is for a figure of activations that are named" in err
