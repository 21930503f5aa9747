import csv
import pathlib
import subprocess
import sys

import pytest

BENCHMARK = pathlib.Path(__file__).parents[2] / "benchmarks" / "input_pipeline.py"


@pytest.mark.slow
def test_the_benchmark_runs_and_names_all_contenders(tmp_path):
    pytest.importorskip("skimage")
    options = ["--images=20", "--rounds=1", "--batch_size=4", "--image_size=32"]
    subprocess.run([sys.executable, BENCHMARK, *options, f"--out={tmp_path}"], check=True)
    with open(tmp_path / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 4
    assert all(float(row["images_per_s_and_core"]) > 0 for row in rows)
    table = (tmp_path / "table.md").read_text()
    assert "| cropped |" in table
    assert "ours, TFDS / better peer" in table
