from keras_swish.train.trainer import epoch_log
from keras_swish.train.trainer.epoch_log import EpochLog


def test_a_resumed_log_has_the_epochs_that_are_done(tmp_path):
    log = EpochLog(tmp_path)
    for epoch in range(3):
        log.append(epoch, {"loss": 1.0 - epoch, "accuracy": 0.1})
    assert epoch_log.read_log(tmp_path) == [
        {**row, "epoch": float(row["epoch"])} for row in log.rows
    ]
    header, first, *_ = (tmp_path / "log.csv").read_text().splitlines()
    assert (header, first) == ("epoch,accuracy,loss", "0,0.1,1.0")
    resumed = EpochLog(tmp_path, epochs=2)
    assert resumed.rows == log.rows[:2]
    assert len(epoch_log.read_log(tmp_path)) == 2
    EpochLog(tmp_path, epochs=0)
    assert not (tmp_path / "log.csv").exists()


def test_a_log_of_an_earlier_version_has_fewer_columns(tmp_path):
    (tmp_path / "log.csv").write_text("epoch,loss\n0,0.5\n1,0.4\n2,0")
    log = EpochLog(tmp_path, epochs=1)
    log.append(1, {"loss": 0.25, "steps": 4})
    assert epoch_log.read_log(tmp_path) == [
        {"epoch": 0.0, "loss": 0.5},
        {"epoch": 1.0, "loss": 0.25, "steps": 4.0},
    ]


def test_a_host_that_does_not_write_logs_nothing(tmp_path):
    log = EpochLog(tmp_path, writes=False)
    log.append(0, {"loss": 1.0})
    assert log.rows == []
    assert not list(tmp_path.iterdir())
