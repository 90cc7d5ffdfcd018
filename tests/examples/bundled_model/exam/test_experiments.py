import pytest
from bundled_model.exam import experiments
from bundled_model.training.stages.blindfold import BLINDFOLDED

from memvr_integrations.bundled import WEIGHTS

SMALL = ["--scenes", "4", "--dev", "2"]


@pytest.fixture
def trained(monkeypatch):
    """What `train.main` was told; the shipped weights stand for what it makes."""
    told = []
    monkeypatch.setattr(experiments.train, "main", told.append)
    return told


@pytest.fixture(autouse=True)
def sight(monkeypatch):
    """Tells what would be measured, which takes long and has tests of its own."""

    def measured(evidence, dev, test, layers, settings):
        assert dev.scenes
        yield f"{len(test.scenes)} scenes, from layers {layers}, {settings}"

    monkeypatch.setattr(experiments, "sight", measured)


def test_measuring_trains_nothing_and_writes_a_table(tmp_path, trained):
    experiments.main(["measure", "--folder", str(tmp_path), *SMALL])
    page = (tmp_path / "measure.md").read_text()
    assert not trained
    assert f"4 scenes, from layers (None, 0, 3, 6), {experiments.every_setting()}" in page
    assert "4 test scenes" in page
    assert f"experiments measure --folder {tmp_path} --scenes 4 --dev 2`" in page


def test_the_blindfold_trains_from_finished_weights_and_measures_what_comes_out(tmp_path, trained):
    (tmp_path / "model-blindfold").symlink_to(WEIGHTS)
    more = ["--blindfold-steps", "7", "--batch", "4"]
    experiments.main(["blindfold", "--folder", str(tmp_path), *SMALL, *more])
    [told] = trained
    assert told[:4] == ["--folder", str(tmp_path), "--init", str(WEIGHTS)]
    options = experiments.train.parse(told)
    assert (options.steps, options.blindfold_steps, options.batch) == (0, 7, 4)
    page = (tmp_path / "blindfold.md").read_text()
    assert f"4 scenes, from layers (None, 0), {[BLINDFOLDED]}" in page


def test_language_first_measures_the_model_that_it_trained(tmp_path, trained):
    (tmp_path / "model").symlink_to(WEIGHTS)
    experiments.main(["language-first", "--folder", str(tmp_path), *SMALL, "--steps", "3"])
    [told] = trained
    options = experiments.train.parse(told)
    assert options.language_first
    assert options.tower == WEIGHTS
    assert "from layers (None, 0, 3, 6)" in (tmp_path / "language-first.md").read_text()


def test_settings_are_few_and_distinct():
    settings = experiments.every_setting()
    assert len(settings) == len(set(settings)) == 10


def test_measuring_refuses_options_that_it_does_not_know(tmp_path, trained, capsys):
    folder = tmp_path / "new"
    with pytest.raises(SystemExit):
        experiments.main(["measure", "--folder", str(folder), "--scense", "100"])
    assert "measure knows no --scense 100" in capsys.readouterr().err
    assert not folder.exists()


@pytest.mark.parametrize("kind", ["language-first", "blindfold", "measure"])
def test_the_model_goes_nowhere_but_where_it_is_measured(kind, tmp_path, trained, capsys):
    with pytest.raises(SystemExit):
        experiments.main([kind, "--folder", str(tmp_path), "--out", "elsewhere"])
    assert "--out elsewhere isn't for experiments" in capsys.readouterr().err
    assert not trained
