import dataclasses
import itertools
import pathlib

import image_files
import numpy as np
import pytest

from keras_swish.train.datasets import inception_preprocessing, pipeline, sources
from keras_swish.train.errors import ArgumentError, DataError

tf = pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return image_files.make_folder(tmp_path_factory.mktemp("images") / "train")


@pytest.fixture(scope="module")
def records(folder, tmp_path_factory):
    return image_files.write_records(folder, tmp_path_factory.mktemp("records"))


# The forms differ in how files are read; what comes behind it is quickly tested on one.
@pytest.fixture(params=[pytest.param("folder", marks=pytest.mark.slow), "records"])
def source(request, folder, records):
    return open_folder_or_records(request.param, folder, records)


BOTH = pytest.mark.parametrize("source", ["folder", "records"], indirect=True)


def open_folder_or_records(form, folder, records):
    if form == "folder":
        return sources.open_folder(str(folder))
    return sources.open_records(records, classes=3)


def take(source, count, training=True, **options):
    # Colours are left alone, because their graph takes the longest to build.
    plain = inception_preprocessing.Distortion(color="none")
    fixed = {"batch_size": 4, "image_size": 16, "training": training, "distortion": plain}
    options = {**fixed, **options}
    return list(pipeline.batches(source, **options).take(count).as_numpy_iterator())


def assert_same(some, others):
    assert len(some) == len(others)
    for part, other in zip(itertools.chain(*some), itertools.chain(*others)):
        np.testing.assert_array_equal(part, other)


def corrupt_names(log):
    """The lines of a log of corrupt images, each once."""
    return sorted(set(log.read_text().splitlines()))


def as_set(batches):
    """Each image with its label, as bytes, in an order of its own."""
    return sorted(
        (image.tobytes(), int(label.argmax())) for batch in batches for image, label in zip(*batch)
    )


def as_they_are(monkeypatch):
    """Training without distortion, so that an image is recognized when it comes again."""
    monkeypatch.setattr(
        inception_preprocessing,
        "for_training",
        lambda encoded, seed, size, distortion: inception_preprocessing.for_evaluation(
            encoded, size
        ),
    )


@BOTH
def test_batches_are_images_and_one_hot_labels(source):
    images, labels = take(source, 1)[0]
    assert images.shape == (4, 16, 16, 3)
    assert images.dtype == labels.dtype == np.float32
    assert -1 <= images.min() < images.max() <= 1
    np.testing.assert_array_equal(labels.sum(1), 1)
    assert pipeline.steps_per_epoch(source, 4) == 6


def test_batches_are_a_function_of_seed_and_step(source):
    first = take(source, 8, seed=1, distortion=None)
    assert_same(first, take(source, 8, seed=1, distortion=None))
    assert not np.array_equal(first[0][0], take(source, 1, seed=2)[0][0])
    # The second epoch, from step 6, has other crops.
    assert not np.array_equal(first[0][0], first[6][0])


def test_each_epoch_and_each_seed_has_an_order_of_its_own(source):
    orders = [
        tuple(number for _, number, _ in stream.take(6 * 24).as_numpy_iterator())
        for stream in (pipeline.shuffled(source, seed, 0, 24, (0, 1)) for seed in range(4))
    ]
    epochs = [order[i : i + 24] for order in orders for i in range(0, len(order), 24)]
    assert len(set(epochs)) == len(epochs) == 24
    assert all(sorted(epoch) == list(range(24)) for epoch in epochs)


def test_the_order_is_as_random_as_numpys():
    files = np.array([str(number) for number in range(400)])
    source = sources.Source(files, ["a", "b"], labels=np.zeros(400, "int64"))
    stream = pipeline.shuffled(source, 0, 0, 400, (0, 1)).take(2000)
    numbers = np.array([number for _, number, _ in stream.as_numpy_iterator()]).reshape(5, 400)
    # The steps of a progression are all alike.
    for epoch in numbers:
        steps = np.diff(epoch)
        assert len(np.unique(steps)) > 200
        assert abs(np.corrcoef(epoch[:-1], epoch[1:])[0, 1]) < 0.2


@BOTH
def test_a_resumed_stream_is_the_one_never_cut_off(source, monkeypatch):
    monkeypatch.setattr(pipeline, "BUFFER", 7)  # smaller than an epoch
    expected = take(source, 15, seed=3)
    for step in (5, 8):  # in the first epoch and the second
        assert_same(expected[step:], take(source, 15 - step, seed=3, start_step=step))


def test_batches_do_not_depend_on_parallelism_and_chunks(source, monkeypatch):
    expected = take(source, 7, seed=3, batch_size=8)
    monkeypatch.setattr(pipeline, "CHUNK", 2)
    monkeypatch.setattr(pipeline.os, "cpu_count", lambda: 1)
    assert_same(expected, take(source, 7, seed=3, batch_size=8))


@BOTH
def test_an_epoch_has_each_image_once(source, monkeypatch):
    as_they_are(monkeypatch)
    whole = as_set(take(source, 9, training=False))
    assert len(set(whole)) == 24
    epochs = take(source, 12, seed=1)
    assert as_set(epochs[:6]) == as_set(epochs[6:]) == whole


def test_hosts_share_the_images_out(source, monkeypatch):
    as_they_are(monkeypatch)
    whole = as_set(take(source, 9, training=False))
    hosts = [take(source, 4, seed=1, shard=(index, 3)) for index in range(3)]
    for epoch in (slice(0, 2), slice(2, 4)):
        assert as_set(itertools.chain(*(host[epoch] for host in hosts))) == whole
    hosts = [take(source, 9, training=False, shard=(index, 3)) for index in range(3)]
    assert as_set(itertools.chain(*hosts)) == whole


def test_evaluation_has_each_image_once_and_ends(source):
    batches = take(source, 9, training=False, batch_size=10)
    assert [len(images) for images, _ in batches] == [10, 10, 4]


def test_padded_evaluation_gives_every_host_full_batches(source):
    whole = set(as_set(take(source, 9, training=False)))
    for host, images_there in ((0, 4), (4, 5)):
        batches = take(source, 9, training=False, shard=(host, 5), pad=True)
        assert [len(images) for images, _, _ in batches] == [4, 4]
        real = [(images[w > 0], labels[w > 0]) for images, labels, w in batches]
        assert sum(len(images) for images, _ in real) == images_there
        assert set(as_set(real)) < whole


def test_folder_records_and_tfds_hold_the_same(folder, records, tmp_path):
    image_files.prepare_imagenet2012(folder, tmp_path)
    tfds = sources.open_source("imagenet2012", "train", data_dir=str(tmp_path))
    assert tfds.classes == 1000
    assert tfds.class_names[:3] == list(image_files.CLASSES[:3])
    expected = as_set(take(sources.open_folder(str(folder)), 9, training=False))
    assert as_set(take(sources.open_records(records, 3), 9, training=False)) == expected
    assert as_set(take(tfds, 9, training=False)) == expected
    assert sources.open_tfds("imagenet2012", "validation", str(tmp_path)).examples == 4
    part = sources.open_source("imagenet2012", "train[5:15]", data_dir=str(tmp_path))
    assert part.examples == 10
    assert set(as_set(take(part, 9, training=False))) < set(expected)
    with pytest.raises(ArgumentError, match=r"Unknown split 'trian'\. Did you mean 'train'"):
        sources.open_source("imagenet2012", "trian", data_dir=str(tmp_path))


def test_evaluation_is_the_scaled_centre_of_the_whole_image(folder):
    path = min(folder.glob("*/*"))
    image = tf.io.decode_image(path.read_bytes()).numpy().astype("float32")
    centre = tf.image.central_crop(image, 0.875)
    expected = tf.image.resize(centre, (16, 16)) / 127.5 - 1
    ours = take(sources.open_folder(str(folder)), 1, training=False)[0][0][0]
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_a_crop_is_the_same_whether_decoded_with_the_jpeg_or_after(folder):
    encoded = min(folder.glob("*/*")).read_bytes()
    as_png = tf.io.encode_png(tf.io.decode_jpeg(encoded)).numpy()
    for seed in range(20):
        crops = [
            inception_preprocessing.for_training(
                tf.constant(file), [7, seed], 24, inception_preprocessing.Distortion(color="none")
            )
            for file in (encoded, as_png)
        ]
        # libjpeg smooths colours over the edge of a crop, hence not the same bits.
        assert np.abs(crops[0] - crops[1]).mean() < 0.01


def test_crops_have_the_areas_and_shapes_asked_for():
    # An image whose colour is the position, so that a crop tells where it was taken.
    place = np.stack(np.meshgrid(np.arange(200), np.arange(100)), -1).astype("uint8")
    png = tf.io.encode_png(np.concatenate([place, place[..., :1]], -1))
    distortion = inception_preprocessing.Distortion(
        area=(0.2, 0.5), aspect=(0.8, 1.25), color="none"
    )
    mirrored, areas = 0, []
    for seed in range(200):
        crop = inception_preprocessing.for_training(png, [3, seed], 50, distortion).numpy()
        x, y = ((crop[..., axis] + 1) * 127.5 for axis in (0, 1))
        mirrored += x[0, 0] > x[0, -1]
        # From the middle of the first pixel to that of the last.
        width, height = (abs(z[-1, -1] - z[0, 0]) * 50 / 49 for z in (x, y))
        areas.append(width * height / 20000)
        assert 0.75 < width / height < 1.35
    assert 0.17 < min(areas) < 0.25 < 0.4 < max(areas) < 0.53
    assert 70 < mirrored < 130


def test_colours_change_and_stay_in_range(folder):
    encoded = tf.constant(min(folder.glob("*/*")).read_bytes())
    plain = inception_preprocessing.Distortion(area=(1, 1), flip=False, color="none")
    color = inception_preprocessing.Distortion(area=(1, 1), flip=False, color="full")
    changes = []
    for seed in range(12):
        before = inception_preprocessing.for_training(encoded, [1, seed], 24, plain).numpy()
        after = inception_preprocessing.for_training(encoded, [1, seed], 24, color).numpy()
        assert -1 <= after.min() < after.max() <= 1
        changes.append(np.abs(after - before).mean())
    assert min(changes) > 0.01
    assert len(set(changes)) == 12


@pytest.fixture
def broken(tmp_path):
    """A folder of 24 images of which three cannot be decoded, and a list of their paths."""
    folder = image_files.make_folder(tmp_path / "train")
    files = sorted(folder.glob("*/*"))
    bad = [files[2], files[3], files[20]]
    bad[0].write_bytes(bad[0].read_bytes()[:400])
    bad[1].write_bytes(b"")
    bad[2].write_bytes(b"not a image at all")
    return folder, sorted(map(str, bad))


def test_corrupt_images_are_named_and_replaced(broken, tmp_path, monkeypatch):
    folder, bad = broken
    log = tmp_path / "corrupt.txt"
    source = sources.open_folder(str(folder))
    batches = take(source, 12, seed=1, corrupt_log=log)
    assert corrupt_names(log) == bad
    assert_same(batches[3:], take(source, 9, seed=1, start_step=3))
    # A good image takes the place: of each batch, as many as there are gaps.
    as_they_are(monkeypatch)
    good = set(as_set(take(source, 9, training=False)))
    assert len(good) == 21
    epoch = as_set(take(source, 6, seed=1))
    assert len(epoch) == 24
    assert set(epoch) == good


def test_a_label_beyond_the_classes_is_left_out_and_called_so(records, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_check_labels", lambda *_: None)
    log = tmp_path / "corrupt.txt"
    source = sources.open_records(records, classes=2)
    assert pipeline.describe_corrupt(log) is None
    batches = take(source, 9, training=False, corrupt_log=log)
    assert sum(len(images) for images, _ in batches) == 16
    names = corrupt_names(log)
    assert len(names) == 8
    assert all(name.endswith(": the label 3 is none of 1 to 2") for name in names)
    said = pipeline.describe_corrupt(log)
    assert said.startswith("left out: 8 images with a label out of range, the first ")
    assert "corrupt" not in said.replace("corrupt.txt", "")
    message = "^Too many labels out of range: more than 3 .*valid are 1 to 2, see --classes"
    with pytest.raises(DataError, match=message), pipeline.as_data_errors():
        take(source, 9, training=False, max_corrupt=3)
    far = sources.open_records(records, classes=3, first_label=7)
    message = "^Too many labels out of range: not one of a whole batch"
    with pytest.raises(DataError, match=message), pipeline.as_data_errors():
        take(far, 1)


def test_corrupt_images_are_left_out_of_evaluation(broken, tmp_path):
    folder, bad = broken
    log = tmp_path / "corrupt.txt"
    batches = take(sources.open_folder(str(folder)), 9, training=False, corrupt_log=log)
    assert sum(len(images) for images, _ in batches) == 21
    assert corrupt_names(log) == bad
    said = pipeline.describe_corrupt(log)
    assert said == f"left out: 3 images cannot be decoded, the first {bad[0]} (all in {log})"


def test_an_evaluation_batch_without_a_good_image_is_left_out(broken, tmp_path):
    folder, bad = broken
    log = tmp_path / "corrupt.txt"
    source = sources.open_folder(str(folder))
    # The first two broken ones follow each other.
    batches = take(source, 12, training=False, batch_size=2, corrupt_log=log)
    assert [len(images) for images, _ in batches].count(2) == 10
    assert [len(images) for images, _ in batches].count(1) == 1
    assert len(batches) == 11
    assert corrupt_names(log) == bad
    assert len(take(source, 13, training=False, batch_size=2, pad=True)) == 12


@pytest.mark.parametrize("training", [True, False])
def test_too_many_corrupt_images_end_the_data(broken, tmp_path, training):
    folder, _ = broken
    source = sources.open_folder(str(folder))
    limit = {"corrupt_log": tmp_path / "corrupt.txt", "max_corrupt": 2}
    with (
        pytest.raises(DataError, match=r"^Too many corrupt images: more than 2 .*corrupt\.txt"),
        pipeline.as_data_errors(),
    ):
        take(source, 12, training=training, **limit)
    # One epoch after the other is within the limit.
    take(source, 18, max_corrupt=3)


def test_a_batch_without_a_good_image_ends_the_data(folder, tmp_path):
    source = sources.open_folder(str(image_files.make_folder(tmp_path / "gone", per_class=2)))
    for path in source.files:
        pathlib.Path(path).unlink()
    with (
        pytest.raises(DataError, match="images: not one of a whole batch"),
        pipeline.as_data_errors(),
    ):
        take(source, 1)


def test_a_batch_without_a_good_image_says_so_each_time():
    def replaced(number):
        images, labels = tf.zeros((2, 1, 1, 3)), tf.zeros(2, tf.int64)
        return pipeline._replace_corrupt(images, labels, tf.fill([2], number < 0), classes=3)

    # The order of operations that do not wait for one another differs from call to call.
    batches = tf.data.Dataset.range(500).map(replaced, num_parallel_calls=4)
    iterator, failures = iter(batches), []
    for _ in range(500):
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            next(iterator)
        failures.append("not one of a whole batch" in caught.value.message)
    assert all(failures)


@pytest.mark.parametrize(
    "damage",
    ["content", *(pytest.param(one, marks=pytest.mark.slow) for one in ("length", "cut off"))],
)
def test_what_a_broken_record_file_loses_is_named(folder, tmp_path, damage):
    pattern = image_files.write_records(folder, tmp_path)
    path = min(tmp_path.glob("train-*"))
    content = bytearray(path.read_bytes())
    first = 16 + int.from_bytes(content[:8], "little")
    if damage == "content":
        content[first + 100] ^= 1
    elif damage == "length":
        content[first] ^= 1
    else:
        del content[first + 100 :]
    source = sources.open_records(pattern, classes=3)
    path.write_bytes(content)
    log = tmp_path / "corrupt.txt"
    batches = take(source, 9, training=False, corrupt_log=log)
    assert corrupt_names(log) == [f"{path} record {n}" for n in range(1, 8)]
    assert sum(len(images) for images, _ in batches) == 17
    assert_same(take(source, 9, seed=1)[4:], take(source, 5, seed=1, start_step=4))


def test_a_record_cut_off_before_the_start_counts_as_one(folder, tmp_path):
    pattern = image_files.write_records(folder, tmp_path)
    path = min(tmp_path.glob("train-*"))
    path.write_bytes(path.read_bytes()[:-20])
    assert sources.open_records(pattern, classes=3).examples == 24


def test_counting_by_heads_is_counting_by_reading(records):
    for path in tf.io.gfile.glob(records):
        whole = sum(1 for _ in tf.data.TFRecordDataset(path))
        assert sources.count_records(path) == whole == 8


def test_pngs_are_read(tmp_path):
    folder = image_files.make_folder(tmp_path / "train", per_class=2, suffix=".png")
    images, _ = take(sources.open_folder(str(folder)), 1)[0]
    assert images.std() > 0.1


def test_batches_run_in_parallel_where_tensorflow_must_be_deterministic(source):
    """No operation of the parallel parts may be one that TensorFlow then runs one by one."""
    from tensorflow.python.framework import op_def_registry

    dataset = pipeline.batches(source, batch_size=4, image_size=16, training=True)
    graph = tf.compat.v1.GraphDef.FromString(dataset._as_serialized_graph().numpy())
    functions = {function.signature.name: function for function in graph.library.function}

    def operations(name):
        for node in functions[name].node_def:
            yield node.op
            for attribute in node.attr.values():
                if attribute.func.name:
                    yield from operations(attribute.func.name)

    # TensorFlow's own list, of make_deterministic.cc.
    allowed = {"TensorSliceDataset", "RangeDataset", "TFRecordDataset", "TFRecordDatasetV2"}
    everything = [*graph.node, *itertools.chain(*(f.node_def for f in functions.values()))]
    parallel = [node for node in everything if node.op.startswith("ParallelInterleave")]
    assert parallel
    for node in parallel:
        for operation in operations(node.attr["f"].func.name):
            definition = op_def_registry.get(operation)
            if definition is not None and operation not in allowed:
                assert not definition.is_stateful or operation in ("If", "While"), operation


@pytest.mark.parametrize(
    ("dataset", "options", "argument", "message"),
    [
        ("/not/there", {}, "dataset", "There is no folder '/not/there/train'"),
        ("{one}", {}, "dataset", "at least two folders of classes; it has one, 'cat'"),
        ("{none}", {}, "dataset", "at least two folders of classes; it has none"),
        ("{empty}", {}, "dataset", "cat' holds no images"),
        ("/not/there/{split}-*", {"classes": 3}, "dataset", "No file matches '/not/there/train-"),
        ("~/not/{split}-*", {"classes": 3}, "dataset", "No file matches '/.*/not/train-"),
        ("/not/there/{split}-*", {}, "classes", "do not tell their number of classes"),
        ("{records}", {"classes": 2}, "first_label", "is the label 3; valid are 1 to 2"),
        ("{records}", {"classes": 3, "first_label": 0}, "first_label", "label 3; valid are 0 to 2"),
        ("{records}", {"classes": 3, "data_dir": "/"}, "data_dir", "is a path, which is not look"),
        ("{one}", {"classes": 2}, "classes", "/one' tells its classes"),
        ("{one}", {"first_label": 1}, "first_label", "for TFRecords named by a file pattern"),
        ("{one}", {"data_dir": "/"}, "data_dir", "/one' is a path, which is not looked for in it"),
        ("imagenet2012", {"first_label": 0}, "first_label", "'imagenet2012' tells its classes"),
        ("imagenet", {}, "dataset", "Unknown dataset 'imagenet'. Did you mean"),
        ("imagenet2012", {"data_dir": "/not/there"}, "data_dir", "'/not/there' is not there"),
        ("imagenet2012", {"data_dir": "s3://b/c"}, "data_dir", r"cannot be read \(File system sch"),
        ("imagenet2012", {"data_dir": "hdfs://b/c"}, "data_dir", "or, with TensorFlow, gs://"),
        ("s3://bucket/flowers", {}, "dataset", r"cannot be read \(File system scheme 's3' not"),
        ("hdfs://a/{split}-*", {"classes": 3}, "dataset", r"cannot be read \(File system scheme"),
        ("ram://flowers", {}, "dataset", "There is no folder 'ram://flowers/train'"),
    ],
)
def test_bad_sources_are_named(dataset, options, argument, message, tmp_path, records):
    for name, folders in {"one": ["cat"], "none": [], "empty": ["cat", "dog"]}.items():
        for folder in folders or ["."]:
            (tmp_path / name / "train" / folder).mkdir(parents=True)
    for name in ("one", "none", "empty"):
        dataset = dataset.replace(f"{{{name}}}", str(tmp_path / name))
    dataset = dataset.replace("{records}", records)
    with pytest.raises(ArgumentError, match=message) as caught:
        sources.open_source(dataset, "train", **options)
    assert caught.value.argument == argument
    assert "\n" not in str(caught.value)


def test_other_file_systems_are_read(folder):
    path = "ram://images/train"
    for file in sorted(folder.glob("*/*")):
        tf.io.gfile.makedirs(f"{path}/{file.parent.name}")
        tf.io.gfile.copy(str(file), f"{path}/{file.parent.name}/{file.name}", overwrite=True)
    remote = sources.open_source("ram://images", "train")
    assert_same(take(remote, 2), take(sources.open_folder(str(folder)), 2))


def test_the_names_of_classes_are_those_of_the_records(folder, tmp_path):
    source = sources.open_folder(str(folder))
    assert sources.named_classes(source) == sorted(path.name for path in folder.iterdir())
    pattern = image_files.write_records(folder, tmp_path / "plain")
    assert sources.named_classes(sources.open_records(pattern, 4)) == ["0", "1", "2", "3"]
    texts = ["cat", "dög", "eel"]
    pattern = image_files.write_records(folder, tmp_path / "named", texts=texts)
    source = sources.open_records(pattern, 4)
    assert source.class_names == ["0", "1", "2", "3"]
    # The fourth class has no images.
    assert sources.named_classes(source) == [*texts, "3"]


def test_other_records_are_refused(folder, records, tmp_path):
    with pytest.raises(ArgumentError, match=r"Unknown feature 'image'\. Did you mean"):
        sources.open_records(records, 3, image_key="image")
    with tf.io.TFRecordWriter(str(tmp_path / "other")) as writer:
        writer.write(b"\xff\xff no example")
    with pytest.raises(ArgumentError, match=r"are no tf\.train\.Example"):
        sources.open_records(str(tmp_path / "other*"), 3)
    text = tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"cat"]))
    features = {"image/encoded": text, "image/class/label": text}
    example = tf.train.Example(features=tf.train.Features(feature=features))
    with tf.io.TFRecordWriter(str(tmp_path / "text")) as writer:
        writer.write(example.SerializeToString())
    with pytest.raises(ArgumentError, match="feature 'image/class/label' is no whole number"):
        sources.open_records(str(tmp_path / "text*"), 3)


def test_a_batch_larger_than_the_split_is_refused(source):
    with pytest.raises(ArgumentError, match=r"2 x 20 images .* more than the split's 24"):
        take(source, 1, batch_size=20, shard=(0, 2))
    with pytest.raises(ArgumentError, match="no shard 2 of 2"):
        take(source, 1, shard=(2, 2))


def test_splits_with_other_classes_are_refused(folder, tmp_path):
    train = sources.open_folder(str(folder))
    other = sources.open_folder(str(image_files.make_folder(tmp_path / "v", classes=2)))
    sources.check_same_classes(train, train)
    with pytest.raises(ArgumentError, match=r"classes \(3 and 2\): only one of them has 'n01484"):
        sources.check_same_classes(train, other)


@pytest.mark.slow
def test_mirroring_and_colours_do_not_follow_from_the_crop():
    across = np.arange(0, 192, 3, "uint8")[:, None]
    encoded = tf.io.encode_png(np.broadcast_to(across, (64, 64, 3)))
    plain = inception_preprocessing.Distortion(color="none", flip=False)
    mirrored = dataclasses.replace(plain, flip=True)

    def spans(seed):
        return [
            inception_preprocessing.for_training(encoded, seed, 16, distortion)[8]
            for distortion in (plain, mirrored)
        ]

    seeds = tf.stack([tf.zeros(400, tf.int64), tf.range(400, dtype=tf.int64)], 1)
    crops, flipped = (
        x.numpy()[..., 0]
        for x in tf.map_fn(spans, seeds, fn_output_signature=[tf.float32, tf.float32])
    )
    is_mirrored = flipped[:, 0] > flipped[:, -1]
    widths = crops[:, -1] - crops[:, 0]
    assert 0.4 < is_mirrored.mean() < 0.6
    assert abs(np.corrcoef(is_mirrored, widths)[0, 1]) < 0.15
