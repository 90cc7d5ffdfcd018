import pytest

from memvr_integrations.errors import BenchmarkError, ConfigError
from memvr_integrations.evaluate.benchmarks.catalog import FROM_FOLDERS, NAMES, load_benchmark


def test_the_names():
    judged, asked = {"vizwiz", "mm-vet", "llava-bench"}, {"pope", "mme", "hallusionbench", "mmvp"}
    assert set(NAMES) == judged | asked | {"chair", "amber", "scenes"}
    assert len(NAMES) == 10


def test_scenes_need_no_folder(tmp_path):
    assert load_benchmark("scenes").name == "scenes"
    with pytest.raises(ConfigError, match="leave the folder out"):
        load_benchmark("scenes", tmp_path)


@pytest.mark.parametrize("name", FROM_FOLDERS)
def test_an_empty_folder_says_what_to_download(name, tmp_path):
    with pytest.raises(BenchmarkError, match=r"needs .*https?://"):
        load_benchmark(name, tmp_path)
    with pytest.raises(BenchmarkError, match="is no folder"):
        load_benchmark(name, tmp_path / "nowhere")
    with pytest.raises(BenchmarkError, match="is read from a folder"):
        load_benchmark(name)


def test_a_near_name_is_suggested(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'hallusionbench'"):
        load_benchmark("HallusionBench", tmp_path)
