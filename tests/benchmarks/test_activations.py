"""The table of the activations' times."""

import shutil


def test_the_table_is_written_from_the_files_of_the_backends(
    benchmark_module, root, tmp_path, monkeypatch
):
    activations = benchmark_module("activations")
    folder = root / "results" / "activations"
    for file in folder.glob("*.csv"):
        shutil.copy(file, tmp_path)
    monkeypatch.setattr(activations, "OUT", tmp_path)
    activations.write_table()
    assert (tmp_path / "table.md").read_text() == (folder / "table.md").read_text()
