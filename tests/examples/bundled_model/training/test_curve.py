import json
from xml.etree import ElementTree

from bundled_model.training.curve import draw_curves


def test_a_log_becomes_a_chart_for_each_figure(tmp_path):
    lines = [
        {"stage": "vision", "step": 50, "minutes": 1, "loss": 3.0, "patches": 0.1},
        {"stage": "vision", "step": 100, "minutes": 2, "loss": 2.0, "patches": 0.4},
        {"stage": "joint", "step": 50, "minutes": 3, "loss": 2.5, "yes/no": 0.6},
    ]
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    draw_curves(log, tmp_path / "curves.svg")
    root = ElementTree.parse(tmp_path / "curves.svg").getroot()
    names = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert {"loss", "patches", "yes/no"} <= set(names)
    assert sum(element.tag.endswith("polyline") for element in root.iter()) == 4
