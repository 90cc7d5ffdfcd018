from xml.etree import ElementTree

from memvr_integrations.evaluate.costs.charts import chart
from memvr_integrations.evaluate.costs.figures import Spread, Table

SVG = "{http://www.w3.org/2000/svg}"


def drawn(charted):
    table = Table(
        title="A < B",
        columns=["ms", "ratio"],
        charted=charted,
        rows={
            "off": [Spread([10.0]), Spread([0.5, 1.0, 1.5])],
            "on & on": [Spread([20.0]), Spread([2.0, 2.0, 2.0])],
            "unknown": [Spread([40.0]), Spread([])],
        },
    )
    return ElementTree.fromstring(chart(table))


def test_bars_are_as_long_as_their_medians_and_lines_as_their_intervals():
    svg = drawn("ratio")
    off, on = (float(bar.get("width")) for bar in svg.findall(f"{SVG}rect")[1:])
    assert on == 2 * off
    whisker = svg.findall(f"{SVG}line")[0]
    assert float(whisker.get("x2")) - float(whisker.get("x1")) == off
    texts = [text.text for text in svg.findall(f"{SVG}text")]
    assert texts == ["A < B: ratio", "off", "1.00 (0.50-1.50)", "on & on", "2.00 (2.00-2.00)"]


def test_a_line_marks_one_among_ratios_alone():
    lines = drawn("ratio").findall(f"{SVG}line")
    bars = drawn("ratio").findall(f"{SVG}rect")[1:]
    one = float(bars[0].get("x")) + float(bars[0].get("width"))  # the first ratio is 1
    assert float(lines[-1].get("x1")) == one
    assert len(lines) == 3
    assert len(drawn("ms").findall(f"{SVG}line")) == 3  # a row more, and no mark
