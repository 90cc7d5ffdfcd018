import hashlib
import json

from bundled_model.exam.card import write_card


def test_a_card_names_every_file_and_the_stages(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    lines = [
        {"stage": "vision", "step": 50, "minutes": 1.0},
        {"stage": "vision", "step": 6000, "minutes": 59.6},
        {"stage": "joint", "step": 1000, "minutes": 12.2},
    ]
    (tmp_path / "training.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    told = {"classes": 3, "themes": ("sea", "sky"), "abilities": ["| a |", "| 1 |"]}
    path = write_card(tmp_path, machine="Measured.", **told)
    card = path.read_text()
    assert f"| `model.safetensors` | 7 | `{hashlib.sha256(b'weights').hexdigest()}` |" in card
    assert "| vision | 6,000 | 60 |\n| joint | 1,000 | 12 |" in card
    assert "3 classes in 2 themes (sea, sky)" in card
    assert "| a |\n| 1 |" in card
    # It doesn't tell its own checksum, so writing it again changes nothing.
    assert write_card(tmp_path, machine="Measured.", **told).read_text() == card


def test_a_checkpoint_without_a_log_says_so(tmp_path):
    path = write_card(tmp_path, classes=1, themes=("sea",), abilities=[], machine="")
    assert "There is no log." in path.read_text()
