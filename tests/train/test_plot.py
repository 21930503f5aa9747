"""Figures of activations from the command line."""


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
