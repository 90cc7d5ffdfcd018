import pytest
import torch
from bundled_model.averaging import main
from safetensors.torch import load_file, save_file


def model(folder, values, settings="{}"):
    folder.mkdir()
    save_file(values, folder / "model.safetensors")
    (folder / "config.json").write_text(settings)
    return str(folder)


def test_the_mean_is_of_all_and_the_rest_of_the_last(tmp_path, capsys):
    wide = torch.bfloat16
    first = model(tmp_path / "a", {"w": torch.tensor([1.0, 2.0], dtype=wide)})
    second = model(tmp_path / "b", {"w": torch.tensor([3.0, 6.0], dtype=wide)}, '{"last": 1}')
    out = tmp_path / "c"
    main([first, second, "--out", str(out)])
    mean = load_file(out / "model.safetensors")["w"]
    assert mean.dtype == wide
    assert mean.tolist() == [2.0, 4.0]
    assert (out / "config.json").read_text() == '{"last": 1}'
    assert str(out) in capsys.readouterr().out


def test_the_card_of_other_weights_stays_behind(tmp_path, capsys):
    first = model(tmp_path / "a", {"w": torch.ones(2)})
    (tmp_path / "a" / "README.md").write_text("figures")
    main([first, first, "--out", str(tmp_path / "c")])
    assert not (tmp_path / "c" / "README.md").exists()
    assert "left out" in capsys.readouterr().out


def test_models_of_other_shapes_are_refused_and_nothing_is_written(tmp_path, capsys):
    first = model(tmp_path / "a", {"w": torch.ones(2)})
    second = model(tmp_path / "b", {"w": torch.ones(3)})
    with pytest.raises(SystemExit):
        main([first, second, "--out", str(tmp_path / "c")])
    assert "other tensors" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_a_folder_that_is_no_model_or_would_be_overwritten_is_named(tmp_path, capsys):
    first = model(tmp_path / "a", {"w": torch.ones(2)})
    with pytest.raises(SystemExit):
        main([first, str(tmp_path / "nothing"), "--out", str(tmp_path / "c")])
    assert "nothing/model.safetensors" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([first, "--out", first])
    assert "give another folder" in capsys.readouterr().err
