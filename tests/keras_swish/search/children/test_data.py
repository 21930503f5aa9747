import collections
import re

import keras
import numpy as np
import pytest

from keras_swish.search.children import data as datasets
from keras_swish.search.children.data import read

X, Y = np.arange(12.0).reshape(6, 2), np.arange(6) % 2


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return X[2 * index : 2 * index + 2], Y[2 * index : 2 * index + 2]


class Column:
    """What pandas has of a column, or of a table."""

    iloc = None

    def __init__(self, array):
        self.array = array

    def to_numpy(self):
        return self.array


def test_arrays_lists_dictionaries_and_tables_become_arrays():
    (x, y), size = read("training data", (X.tolist(), Y.tolist()))
    np.testing.assert_array_equal(x, X)
    assert (x.dtype, y.tolist(), size) == (keras.config.floatx(), Y.tolist(), None)
    (x, y), _ = read("training data", ({"a": Column(X), "b": [X, Column(X[:, 0])]}, Column(Y)))
    assert [x["a"].shape, x["b"][0].shape, x["b"][1].shape, y.shape] == [
        (6, 2),
        (6, 2),
        (6, 1),
        (6, 1),
    ]


def test_named_tuples_stay_such():
    Pair = collections.namedtuple("Pair", ["a", "b"])
    (x, _), _ = read("training data", (Pair(X.tolist(), Column(X)), Y))
    assert type(x) is Pair
    np.testing.assert_array_equal(x.a, x.b)


def test_tables_of_pandas_are_read_whatever_their_types():
    pandas = pytest.importorskip("pandas")
    table, labels = pandas.DataFrame(X, columns=["a", "b"]), pandas.Series(Y, name="y")
    mixed = table.assign(b=table.b.astype("int64"))
    optional = table.astype("Float32"), labels.astype("Int64")  # types that may lack values
    for x, y in ((table, labels), (mixed, labels == 1), optional):
        (x, y), _ = read("training data", (x, y))
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(y, Y[:, None])
        assert x.dtype == keras.config.floatx()
    for x, message in [
        (table.assign(b="text"), "the column 'b' is no number, as others are"),
        (table.assign(b=np.nan), "not finite, in its inputs"),
        (table.astype("Float32").where(table.a > 1), "not finite, in its inputs"),
    ]:
        with pytest.raises(ValueError, match=message):
            read("training data", (x, labels))
    with pytest.raises(ValueError, match="are text, 'n'"):
        read("training data", (table, labels.map({0: "n", 1: "y"}).astype("category")))


def test_bytes_are_read_as_the_text_that_they_are_in_utf_8():
    texts = np.array([["café good", "bad thé"]] * 3)
    encoded = np.char.encode(texts, "utf-8").astype(object)
    for given in (encoded, texts.astype(object)):
        (x, _), _ = read("training data", (given, Y[:3]))
        np.testing.assert_array_equal(x, texts)
    tf = pytest.importorskip("tensorflow")
    dataset = tf.data.Dataset.from_tensor_slices((texts, Y[:3]))
    (x, _), _ = read("training data", dataset.batch(2))
    np.testing.assert_array_equal(x, texts)
    with pytest.raises(ValueError, match="are text, 'café good': number the classes"):
        read("validation data", (X[:3], encoded[:, 0]))


def test_a_list_is_a_pair_where_it_is_no_array():
    (x, y), _ = read("validation data", [X, Y])
    assert (x.shape, y.shape) == (X.shape, Y.shape)
    with pytest.raises(ValueError, match="must be a pair"):
        read("validation data", X[:2].tolist())


def test_a_dataset_is_read_with_its_weights_and_its_batch_size():
    tf = pytest.importorskip("tensorflow")
    weights = np.linspace(0, 1, 6, dtype="float32")
    dataset = tf.data.Dataset.from_tensor_slices((X, Y, weights)).batch(4)
    (x, y, w), size = read("training data", dataset)
    assert size == 4
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(w, weights)
    (x, y), size = read("training data", Batches())
    assert (x.shape, y.tolist(), size) == ((6, 2), Y.tolist(), 2)


def test_classes_weigh_what_fit_makes_them_weigh():
    (_, _, weights), _ = read("training data", (X, Y), {1: 5.0})
    assert weights.tolist() == [1, 5, 1, 5, 1, 5]
    (_, _, weights), _ = read("training data", (X, keras.utils.to_categorical(Y)), {0: 2.0})
    assert weights.tolist() == [2, 1, 2, 1, 2, 1]
    (_, _, weights), _ = read("training data", (X, Y[:, None]), {1: 5.0})
    assert weights.tolist() == [1, 5, 1, 5, 1, 5]


@pytest.mark.parametrize("shape", [(6, 1, 1), (6, 6, 1), (6, 4, 2)])
def test_classes_of_positions_are_not_weighed_as_fit_does_not(shape):
    with pytest.raises(ValueError, match=re.escape(f"labels of shape {shape}")):
        read("training data", (X, np.ones(shape, int)), {1: 5.0})


def endless():
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(2).repeat()


def single():
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((Y, Y))


def uneven():
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_generator(
        lambda: iter([(X[:2], Y[:2]), (X[:2, :1], Y[:2])]),
        output_signature=(tf.TensorSpec((2, None)), tf.TensorSpec((2,))),
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (X, "must be a pair .*: pass arrays, as .* or a keras.utils.PyDataset"),
        ((X,), "Received: a tuple of 1"),
        (endless, "is endless: pass a finite dataset"),
        (single, "single examples: put them in batches"),
        (uneven, "different shapes"),
        (([[1.0], [2.0, 3.0]], [0, 1]), "pad_sequences"),
        ((X, np.array(["a", "b"] * 3)), "are text, 'a': number the classes from 0"),
        ((np.array([b"\xff\xd8"] * 6, object), Y), "inputs .* bytes that are no text in UTF-8"),
        ((X, Y[:5]), "as many inputs as labels"),
        ((X, None), "labels of the training data must be arrays"),
    ],
)
def test_what_is_no_data_is_refused_with_the_remedy(data, message):
    with pytest.raises(ValueError, match=message) as error:
        read("training data", data() if callable(data) else data)
    assert "\n" not in str(error.value)


def test_weights_are_given_once():
    with pytest.raises(ValueError, match="has sample weights"):
        read("training data", (X, Y, np.ones(6)), {0: 2.0})
    with pytest.raises(ValueError, match="must be a dictionary"):
        read("training data", (X, Y), [1.0, 2.0])


def test_rows_of_a_structure():
    taken = datasets.take_rows(({"a": X}, Y), np.array([5, 0]))
    assert taken[0]["a"].tolist() == [[10, 11], [0, 1]]
