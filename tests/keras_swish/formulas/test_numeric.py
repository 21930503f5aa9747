import numpy as np

from keras_swish.elementwise.operation import apply_formula
from keras_swish.formulas import language, numeric, primitives

X = np.linspace(-5.9, 5.9, 83)


def test_numpy_and_the_backend_agree():
    x = X.astype("float32")
    for name, primitive in primitives.UNARY.items():
        tree = language.parse(primitive.formula)
        betas = dict.fromkeys(language.weights(tree), 0.5)
        got = numeric.evaluate(tree, {"x": x.astype("float64"), **betas})
        wanted = np.array(apply_formula(tree, x, **betas))
        np.testing.assert_allclose(got + 0 * x, wanted, rtol=1e-5, atol=1e-6, err_msg=name)
