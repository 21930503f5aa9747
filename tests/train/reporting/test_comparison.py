"""The page of a comparison: its text, and that a real browser shows it."""

import dataclasses
import functools
import json
import re
import shutil

import pages
import pytest

from keras_swish import io
from keras_swish.models import paper_accuracies
from keras_swish.train.reporting import comparison, html, provenance, runs, verdicts
from keras_swish.train.trainer import recipes


def row(activation, seed, accuracy, model="resnet164", rate=0.1, **others):
    return {
        "model": model,
        "learning_rate": rate,
        "activation": activation,
        "seed": seed,
        "test_accuracy": accuracy,
        "validation_accuracy": accuracy,
        "epochs": 2,
        "steps": 20,
        "seconds": 4.0,
        "status": "ok" if accuracy is not None else "diverged: the loss is nan",
        "folder": f"{model}-{rate}-{activation}-{seed}",
        "chosen": True,
        **others,
    }


FILE = "![x](/etc/hostname)"
HOSTILE = "`<script>document.title='pwned'</script>|<img src=x onerror=alert(1)>"
COMMAND = "keras-swish compare '--out=</code><script>document.title=1</script>'"


def said(rows, baselines=1):
    """The table, and a sentence for each comparison."""
    sentences = map(verdicts.sentence, verdicts.verdicts(rows, baselines))
    return "\n".join([comparison.table(rows, baselines), *sentences])


@pytest.fixture
def folder(tmp_path):
    """A comparison of two networks, three functions and two learning rates, as if trained."""
    out = tmp_path / "out"
    out.mkdir()
    common = {"program": "compare", "dataset": "cifar10", "train_split": "train"}
    common |= {"test_split": "test", "image_size": None, "pad": 4, "flip": True}
    common["recipe"] = {"source": "a test", "epochs": 2, "bn_momentum": None}
    starts = [{"command": COMMAND, "environment": {"system": "<b>Linux</b>"}}]
    io.write_json(out / "config.json", {"config": common, "starts": starts})
    found = {"relu": 0.90, "swish": 0.95, HOSTILE: 0.85}
    for model in ("resnet164", "wrn_28_10"):
        for place, (activation, accuracy) in enumerate(found.items()):
            for seed, rate in ((0, 0.1), (1, 0.1), (0, 0.2)):
                values = accuracy + 0.01 * seed - 0.1 * (rate == 0.2)
                result = row(activation, seed, values, model, rate)
                del result["folder"], result["chosen"]
                run = out / "runs" / runs._folder_name(common, result)
                run.mkdir(parents=True)
                io.write_json(run / "result.json", result)
                seconds = [2 + place, 1.5 + place]  # of ten steps each
                log = [
                    {"epoch": e, "loss": 2 - e, "val_accuracy": values, "seconds": seconds[e]}
                    for e in range(2)
                ]
                io.write_csv(run / "log.csv", log)
    return out


def test_table_says_who_is_better_and_how_sure_that_is():
    rows = [row("relu", seed, 0.90 + 0.001 * seed) for seed in range(3)]
    rows += [row("swish", seed, 0.92 + 0.001 * seed + 0.0001 * (seed == 1)) for seed in range(3)]
    rows += [row("tanh", seed, 0.89 + 0.02 * (seed == 2)) for seed in range(3)]
    table = said(rows)
    swish, relu, tanh = table.splitlines()[2:5]  # the best first
    cells = [cell.strip() for cell in relu.split("|")[1:-1]]
    assert cells[:2] == ["relu (baseline)", "90.10"]
    assert cells[2:6] == [""] * 4
    assert cells[6:] == ["90.10", "0.10", "90.00", "90.10", "90.20"]
    assert "+2.00" in swish
    assert "0.25" in swish
    assert "swish is 2.00 points better than relu on average over 3 seeds: the interval" in table
    assert "nothing can be significant (p = 0.25; 3 seeds cannot give less than 0.25)" in table
    assert "tanh is 0.43 points worse than relu on average over 3 seeds: not statistically" in table
    assert "-0.43" in tanh


def test_only_what_both_methods_say_is_significant():
    rows = [row("relu", seed, 0.90 + 0.001 * seed) for seed in range(8)]
    rows += [row("swish", seed, 0.92 + 0.0011 * seed) for seed in range(8)]
    table = said(rows)
    assert "points better than relu on average over 8 seeds: statistically significant" in table


def test_no_difference_on_average_is_not_a_significant_draw():
    rows = [row("relu", 0, 0.5), row("relu", 1, 0.5), row("swish", 0, 0.55), row("swish", 1, 0.45)]
    table = said(rows)
    assert "as good as relu on average over 2 seeds: not statistically significant (p = 1" in table


def test_with_other_seeds_the_difference_is_that_of_the_means_above_it():
    rows = [row("relu", 0, 0.5), row("relu", 1, 0.9), row("swish", 1, 0.8), row("swish", 2, 0.1)]
    assert "swish is 25.00 points worse than relu on average over 2 seeds" in said(rows)
    assert "swish reaches 45.00%, 25.00 points worse than relu (70.00%)" in verdicts.answer(rows, 1)


@pytest.mark.parametrize(
    ("seeds", "end"), [((0, 1, 2), "significant: that takes 6."), ((3, 4, 5), "significant.")]
)
def test_how_many_seeds_are_needed_is_said_of_pairs_alone(seeds, end):
    """Two groups of four can be significant, where six pairs are needed."""
    rows = [row("relu", seed, 0.5 + seed / 100) for seed in range(3)]
    rows += [row("swish", seed, 0.6 + seed / 100) for seed in seeds]
    assert verdicts.answer(rows, 1).endswith(f"; with so few seeds none can be {end}")


@pytest.mark.parametrize(
    ("relu", "swish", "answer"),
    [
        (
            (0.9, 0.9, 0.6, 0.6, 0.6),
            (0.85, 0.85, None, None, None),
            "swish reaches 85.00%, 5.00 points worse than relu (85.00% against 90.00% over 2 seeds,"
            " as 3 runs diverged): 95% interval",
        ),
        (
            (0.9, 0.8, None),
            (0.85, 0.7, 0.9),
            "swish reaches 81.67%, 7.50 points worse than relu (77.50% against 85.00% over 2 seeds,"
            " as 1 run diverged): 95% interval",
        ),
        (
            (0.9, None),
            (None, 0.85),
            "swish reaches 85.00%, 5.00 points worse than relu (85.00% against 90.00% over 1 seed,"
            " as 2 runs diverged): one seed says nothing about others.",
        ),
        ((None, None), (0.85, 0.85), "swish reaches 85.00%; every run of relu diverged."),
        (
            (None, 0.9),
            (),
            "relu reaches 90.00% over 1 seed, as 1 run diverged; nothing is compared.",
        ),
        ((None,), (), "Every run of relu diverged."),
    ],
)
def test_the_answer_names_the_means_of_the_runs_that_it_compares(relu, swish, answer):
    rows = [row("relu", seed, accuracy) for seed, accuracy in enumerate(relu)]
    rows += [row("swish", seed, accuracy) for seed, accuracy in enumerate(swish)]
    assert verdicts.answer(rows, 1).startswith(f"**{answer}")


def test_none_is_called_better_only_where_no_comparison_says_so():
    accuracies = {"relu": (0.6, 0.9, 0.9), "swish": (None, 0.85, 0.85), "elu": (0.7, None, None)}
    rows = [
        row(name, seed, accuracy)
        for name, own in accuracies.items()
        for seed, accuracy in enumerate(own)
    ]
    assert verdicts.answer(rows, 1).startswith("**swish reaches 85.00%, 5.00 points worse than")
    assert verdicts.answer(rows[:6] + [row("elu", seed, 0.1) for seed in range(3)], 1).startswith(
        "**None is better than relu; the best of them, swish, reaches 85.00%"
    )


def test_diverged_runs_are_shown_and_not_averaged():
    rows = [row("relu", 0, 0.5), row("relu", 1, 0.6), row("exp", 0, None), row("exp", 1, 0.4)]
    assert "diverged" in said(rows)
    assert "no runs to compare: too many diverged" in said([*rows[:3], row("exp", 1, None)])


def test_with_many_comparisons_less_is_significant():
    rows = [row("relu", seed, 0.90 + 0.001 * seed) for seed in range(7)]
    rows += [row("swish", seed, 0.92 + 0.0011 * seed) for seed in range(7)]
    assert "significant at the 5% level (p = 0.0156;" in said(rows)
    others = [row(f"f{n}", seed, 0.9 + 0.01 * (-1) ** seed) for n in range(5) for seed in range(7)]
    table = said(rows + others)
    assert "swish is 2.03 points better" in table
    assert "excludes 0, but with so few seeds nothing can be significant (p = 0.0156;" in table
    assert "| p (Holm) |" in table


def rename_networks(folder, names, **columns):
    """Gives the networks of a comparison other names, and its runs further columns."""
    for path in list(folder.glob("runs/*/result.json")):
        result = {**io.read_json(path), **columns}
        result["model"] = names[result["model"]]
        io.write_json(path, result)
        path.parent.rename(folder / "runs" / runs._folder_name(runs.settings(folder), result))


def test_the_page_has_every_table(folder):
    rows = runs.read_runs(folder, {"activation": ["relu"]})
    assert len(rows) == 18
    comparison.write(folder, rows)
    text = (folder / "table.md").read_text()
    (_, first), _, _, (header, compared), (_, signs), _ = pages.tables(text)
    hostile = html.code(HOSTILE).replace("|", "\\|")
    assert list(first) == ["swish", "relu (baseline)", hostile]
    # Seed 0 chose the learning rate.
    assert first["swish"][0] == "96.00"
    assert first["swish"][5:] == ["96.00", "", "95.00", "96.00"]
    assert "seed 0 (chose)" in text
    notes = " ".join(text.split())
    assert "Seed 0 chose the learning rates, left out of mean, median, std, differences" in notes
    assert header[1:] == [
        f"{model}, {who}" for model in ("resnet164", "wrn_28_10") for who in ("here", "paper")
    ]
    assert compared["swish"] == ["95.5", "94.7", "95.5", "95.5"]
    assert compared[hostile] == ["85.5", "not measured", "85.5", "not measured"]
    assert signs["relu"] == ["2 / 0 / 0", "0.25", "4 / 0 / 0", "9 / 0 / 0", "0.00195"]
    assert re.search(r"resnet164 \| relu +\| 150.0 +\| 1.00", text)
    assert re.search(r"resnet164 \| swish +\| 250.0 +\| 1.67", text)
    assert re.search(r"resnet164 \| relu +\| \*\*90.50\*\* \| 80.00", text)


def test_the_seed_that_chose_counts_on_request_and_where_there_is_no_other(folder):
    record = io.read_json(folder / "config.json")
    record["config"]["count_choosing_seed"] = True
    io.write_json(folder / "config.json", record)
    rows = runs.read_runs(folder)
    (_, first), *_ = pages.tables(comparison.text(folder, rows))
    assert first["swish"][0] == "95.50"
    assert first["swish"][5:7] == ["95.50", "0.71"]
    alone = [row for row in rows if row["seed"] == 0]
    assert runs.counted(alone) == alone
    text = " ".join(comparison.text(folder, alone).split())
    assert "Seed 0 chose the learning rates, and counts all the same" in text


def test_the_seed_that_chose_is_said_to_count_on_the_networks_where_it_does():
    """One network has its other seeds, the other one not yet."""
    rows = [
        {**row("relu", seed, 0.9), "model": model, "chose": seed == 0}
        for model, seeds in (("resnet8", (0, 1)), ("resnet20", (0,)))
        for seed in seeds
    ]
    counts, left_out = sorted(comparison._which_chose(rows, runs.counted(rows)), key=len)
    assert left_out.startswith("On resnet8 seed 0 chose the learning rates, left out of mean")
    assert counts.startswith("On resnet20 seed 0 chose the learning rates, and counts all the same")
    rows[1]["chose"] = True
    (both,) = comparison._which_chose(rows, rows)
    assert both.startswith("Seeds 0, 1 chose the learning rates, and count all the same: their")


def test_a_seed_that_chose_for_one_function_is_left_out_for_all():
    rows = [row("relu", seed, 0.9 + 0.001 * seed) for seed in range(4)]
    rows += [row("swish", seed, 0.92, chose=seed == 0) for seed in range(4)]
    compared = runs.comparisons(runs.counted(rows))["relu"]["swish"]
    assert (compared.seeds, compared.smallest_p) == (3, 0.25)
    (_, left_out), *_ = pages.tables(comparison.table(rows) + "\n")
    (_, counted), *_ = pages.tables(comparison.table(rows, count_choosing_seed=True) + "\n")
    assert (left_out["relu (baseline)"][0], counted["relu (baseline)"][0]) == ("90.20", "90.15")
    assert (left_out["swish"][3], counted["swish"][3]) == ("0.25", "0.125")


@pytest.mark.parametrize(
    "other",
    [
        {"dataset": "fashion_mnist"},
        pytest.param({"train_split": "train[:100]"}, marks=pytest.mark.slow),
        pytest.param({"test_split": "test[:100]"}, marks=pytest.mark.slow),
        {"image_size": 14},
        pytest.param({"weights": "imagenet"}, marks=pytest.mark.slow),
    ],
)
def test_what_the_paper_did_not_measure_has_no_section(folder, other):
    record = io.read_json(folder / "config.json")
    record["config"] |= other
    io.write_json(folder / "config.json", record)
    comparison.write(folder, runs.read_runs(folder))
    assert "Compared with the paper" not in (folder / "table.md").read_text()


def test_a_network_that_the_paper_did_not_measure_has_no_column(folder):
    rows = runs.read_runs(folder)
    rows = [
        {**row, "model": {"wrn_28_10": "resnet20"}.get(row["model"], row["model"])} for row in rows
    ]
    text = comparison.text(folder, rows)
    header = next(found for found, _ in pages.tables(text) if found[-1] == "resnet164, paper")
    assert header == ["activation", "resnet164, here", "resnet164, paper"]


@pytest.mark.parametrize(
    ("counts", "size", "measured"),
    [
        ((1000, 1_281_167, 50_000), None, True),
        pytest.param((1000, 1_281_150, 50_000), None, True, marks=pytest.mark.slow),
        ((1000, 128_117, 50_000), None, False),
        pytest.param((1000, 1_281_167, 10_000), None, False, marks=pytest.mark.slow),
        ((12, 1_281_167, 50_000), None, False),
        ((1000, 1_281_167, 50_000), 96, False),
    ],
)
def test_all_of_imagenet_is_compared_with_the_paper_wherever_it_is(folder, counts, size, measured):
    record = io.read_json(folder / "config.json")
    names = {"resnet164": "nasnet_mobile", "wrn_28_10": "mobilenet"}
    recipes = [{"source": f"a test of {name}", "bn_momentum": 0.9} for name in names.values()]
    record["config"] |= {
        "dataset": "/data/imagenet",
        "train_split": "training",
        "image_size": size,
        "image_files": dict(zip(("classes", "training", "test"), counts, strict=True)),
        "networks": {
            name: {"image_size": 224, "recipe": recipe}
            for name, recipe in zip(names.values(), recipes, strict=True)
        },
    }
    io.write_json(folder / "config.json", record)
    rename_networks(folder, names, test_top_5_accuracy=0.98)
    text = comparison.text(folder, runs.read_runs(folder, {"model": list(names.values())}))
    words = " ".join(text.split())
    assert ("the middle one their median" in words) == measured
    found = [one for one in pages.tables(text) if one[0][1:2] == ["nasnet_mobile, here"]]
    assert bool(found) == measured
    for header, compared in found:
        columns = ("here", "paper", "top-5, here")
        assert header[1:4] == [f"nasnet_mobile, {column}" for column in columns]
        assert compared["swish"] == ["95.5", "74.6 74.7 74.7", "98.0", "95.5", "74.2", "98.0"]
    assert "Recipe of mobilenet: " in words
    assert "(a test of nasnet_mobile)." in words
    assert f"{counts[1]:,} images of the split training for training" in words


def test_the_papers_accuracies_are_found_by_dataset():
    assert paper_accuracies.accuracy("resnet164", "swish_beta", "cifar100") == (75.1,)
    assert paper_accuracies.accuracy("resnet164", "swish_beta", "cifar10") == (94.5,)
    assert paper_accuracies.accuracy("resnet164", "swish_beta", "fashion_mnist") is None
    assert paper_accuracies.accuracy("mobilenet", "relu", "imagenet2012") == (72.0,)
    assert paper_accuracies.accuracy("mobilenet", "relu", "cifar10") is None
    assert paper_accuracies.accuracy("resnet164", "tanh") is None


def test_what_comes_from_outside_is_escaped_and_nothing_is_loaded(folder):
    comparison.write(folder, runs.read_runs(folder))
    text = (folder / "report.html").read_text()
    pages.check(text, figures=4)


def test_report_is_written_again_and_refuses_other_folders(folder, call, tmp_path):
    code, out, err = call("report", folder)
    assert code == 0, err
    assert out.strip() == f"report: {folder / 'report.html'}"
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/config.json").write_text(json.dumps({"config": {"program": "cifar"}}))
    (tmp_path / "unfinished").mkdir()
    shutil.copy(folder / "config.json", tmp_path / "unfinished")
    for arguments, message in (
        ([], "name the folder of a comparison"),
        ([tmp_path / "missing"], "not a folder of results"),
        ([tmp_path / "empty"], "not a folder of results of `keras-swish compare`"),
        ([tmp_path / "other"], "not a folder of results of `keras-swish compare`"),
        ([tmp_path / "unfinished"], "no run of this comparison is finished"),
        ([folder, f"--out={tmp_path / 'new'}"], "a comparison has its report in its folder"),
        ([folder, folder, f"--out={tmp_path / 'new'}"], "is for the report of one search"),
    ):
        code, _, err = call("report", *arguments)
        assert code == 2
        assert len(err.strip().splitlines()) == 1
        assert message in err


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: record["config"].pop("dataset"),
        lambda record: record["config"].pop("pad"),
        lambda record: record["config"]["recipe"].clear(),
        lambda record: record["config"].update(networks=[]),
        lambda record: record["config"].update(image_files={"classes": "ten"}),
        lambda record: record["starts"][0].pop("command"),
        lambda record: record.update(starts=[3]),
        lambda record: record.update(order={"activation": 3}),
        lambda record: record.update(order=["relu"]),
    ],
)
def test_incomplete_settings_end_a_report_with_one_line(folder, call, damage):
    record = io.read_json(folder / "config.json")
    damage(record)
    io.write_json(folder / "config.json", record)
    code, _, err = call("report", folder)
    assert code == 2
    assert f"{folder / 'config.json'} is damaged (" in err
    assert len(err.strip().splitlines()) == 1


def test_a_folder_without_starts_is_reported_on(folder):
    record = io.read_json(folder / "config.json")
    del record["starts"]
    io.write_json(folder / "config.json", record)
    text = comparison.text(folder, runs.read_runs(folder))
    assert "* Data: cifar10" in text
    assert "Command:" not in text
    assert "Machine:" not in text


@pytest.mark.parametrize("column", ["loss", "val_accuracy", "seconds"])
def test_a_log_without_a_column_is_left_out(folder, capsys, column):
    path = next(iter(sorted(folder.glob("runs/wrn*/log.csv"))))
    path.write_text(path.read_text().replace(column, "other"))
    rows = [row for row in runs.read_runs(folder) if row["folder"] == path.parent.name]
    text = comparison.text(folder, rows)
    assert f"{path} is damaged (" in (err := capsys.readouterr().err)
    assert len(err.strip().splitlines()) == 1
    assert "curves.svg" not in text
    assert "diverged" not in text


def test_the_committed_reports_say_what_their_runs_say(root):
    folders = list(root.glob("results/**/runs"))
    assert folders
    for path in folders:
        rows = runs.read_runs(path.parent)
        config = io.read_json(path.parent / runs.CONFIG)["config"]
        if config["program"] == "benchmarks/finetune":  # each run starts from a model of its own
            rows = [{**row, "model": config["model"]} for row in rows]
        baselines, _ = runs.comparing(config)
        chosen, page = [row for row in rows if row["chosen"]], path.parent / "table.md"
        said = page.read_text()
        # Reports of before have other columns first, and no baseline by that name.
        shown = {name.removesuffix(" (baseline)"): cells for name, cells in table_of(said).items()}
        for name, cells in table_of(comparison.summary(chosen, baselines) + "\n").items():
            assert shown[name.removesuffix(" (baseline)")] == cells, (page, name)
        if "differences.svg" in said:
            answer = verdicts.answer(chosen, baselines, len({row["learning_rate"] for row in rows}))
            assert " ".join(answer.split()) in " ".join(said.split())


def table_of(page):
    """The rows of the tables of accuracies by activation, the cells by their columns; the last."""
    return {
        name: dict(zip(header[1:], cells))
        for header, body in pages.tables(page)
        if header[:2] == ["activation", "mean"]
        for name, cells in body.items()
    }


@pytest.mark.browser
@pytest.mark.slow
def test_a_browser_shows_the_page_and_sorts_its_tables(folder, browse):
    comparison.write(folder, runs.read_runs(folder, {"activation": ["relu", "swish"]}))
    show = functools.partial(browse, folder / "report.html")
    document = show(
        "document.body.dataset.figures = "
        "[...document.images].filter(image => image.naturalWidth > 100).length"
    )
    assert 'data-figures="4"' in document
    assert "<title>resnet164, wrn_28_10 on cifar10</title>" in document  # no script was let in

    def order(document):
        body = re.search(r"<tbody>(.*?)</tbody>", document, re.DOTALL).group(1)
        return re.findall(r"<tr>\s*<td[^>]*>(?:<code>)?(.)", body)

    assert order(document) == ["s", "r", "`"]
    click = "const mean = document.querySelectorAll('th button')[1]; mean.click();"
    assert order(show(click)) == ["`", "r", "s"]
    assert order(show(click + "mean.click()")) == ["s", "r", "`"]
    assert 'aria-sort="descending"' in show(click + "mean.click()")


def test_a_network_by_a_hostile_name_brings_no_figure(folder):
    rename_networks(folder, {"resnet164": FILE, "wrn_28_10": f"{FILE}2"})
    rows = runs.read_runs(folder, {"model": [FILE]})
    comparison.write(folder, rows)
    html = (folder / "report.html").read_text()
    assert html.count("base64") == 4  # the page's own figures
    assert "<code>![x](/etc/hostname)</code>" in html


def test_what_diverged_at_times_is_not_significant():
    rows = [row("relu", seed, 0.90 + 0.001 * seed) for seed in range(10)]
    better = [row("swish", seed, 0.95 + 0.0012 * seed) for seed in range(10)]
    assert "statistically significant at the 5% level" in said(rows + better)
    better[3]["test_accuracy"] = None
    text = said(rows + better)
    assert "not significant, as runs diverged (1) and are left out" in text
    assert "statistically significant" not in text


def test_the_answer_comes_first_and_a_figure_next(folder):
    text = comparison.text(folder, runs.read_runs(folder, {"activation": ["relu"]}))
    _, first, second, third, figure, *_ = text.split("\n\n")
    assert first.startswith("**On resnet164, swish reaches 96.00%, 5.00 points better than relu (9")
    assert second.startswith("**On wrn_28_10, swish reaches 96.00%")
    words = " ".join(third.split())
    assert words.startswith("Of 4 comparisons with relu, each activation at the learning rate that")
    assert "none is significantly better" in words
    assert figure.startswith("![differences from the baseline, with intervals](differences.svg)\n*")


def test_one_network_says_nothing_of_others(folder):
    rows = [row for row in runs.read_runs(folder) if row["model"] == "resnet164"]
    assert "How often Swish is better" not in comparison.text(folder, rows)


def test_a_recipe_is_what_differs_from_the_named_one(folder):
    record = io.read_json(folder / "config.json")
    recipe = dataclasses.asdict(recipes.RECIPES["short"]) | {"epochs": 3, "learning_rates": ()}
    del recipe["learning_rate"]
    record["config"]["recipe"] = recipe
    io.write_json(folder / "config.json", record)
    text = " ".join(comparison.text(folder, runs.read_runs(folder)).split())
    assert "* Recipe: `short`, but epochs 3, learning_rate 0.1 and 0.2 (this project" in text
    fold = text[text.index("<details><summary>Every setting</summary>") :]
    assert "momentum 0.9" in fold[: fold.index("</details>")]


@pytest.mark.parametrize(
    ("momentum", "accumulation_steps", "text"),
    [
        (None, 1, "0.3333 (from the number of steps)"),
        (0.99, 1, "0.3333 (from the number of steps)"),
        (0.5, 4, "0.8333 (from the number of steps)"),
        (0.25, 1, "0.25"),
        (0.25, 4, "0.25"),
        (0.0, 1, "0.0"),
    ],
)
def test_the_momentum_of_batch_normalisation_is_that_of_the_runs(
    folder, momentum, accumulation_steps, text
):
    """The runs have 30 steps; a recipe's own momentum is that of a step, not of each part of it."""
    record = io.read_json(folder / "config.json")
    settings = {"accumulation_steps": accumulation_steps, "bn_converges": True}
    record["config"]["recipe"] |= {"bn_momentum": momentum, **settings}
    rows = [{**row, "steps": 30} for row in runs.read_runs(folder)]
    assert f", bn_momentum {text}, accumulation_steps" in provenance.section(record, rows)


def test_rows_that_diverged_say_so(folder):
    rows = runs.read_runs(folder, {"activation": ["relu"]})
    for row in rows:
        if row["activation"] == HOSTILE:
            row |= {"test_accuracy": None, "validation_accuracy": None, "status": "diverged"}
    text = comparison.text(folder, rows)
    (header, first), *_ = pages.tables(text)
    hostile = html.code(HOSTILE).replace("|", "\\|")
    assert first[hostile][header.index("minus relu") - 1] == "diverged"
    assert "diverged" in text[text.index("## Cost") :]
    assert "and 2 cannot be made, as all runs diverged" in " ".join(text.split())


@pytest.mark.parametrize(
    ("diverged", "cells"),
    [
        ("relu", {"relu": ["diverged", ""], "swish": ["250.0", ""]}),
        ("swish", {"relu": ["150.0", "1.00"], "swish": ["diverged", ""]}),
    ],
)
def test_no_time_is_a_multiple_of_that_of_a_run_that_diverged(folder, diverged, cells):
    rows = runs.read_runs(folder, {"activation": ["relu", "swish"]})
    rows = [row for row in rows if row["activation"] != HOSTILE and row["model"] == "wrn_28_10"]
    for row in rows:
        row["status"] = "diverged" if row["activation"] == diverged else "ok"
    (_, found), *_ = pages.tables(comparison._cost(folder, rows) + "\n")
    assert {name: line[:2] for name, line in found.items()} == cells
