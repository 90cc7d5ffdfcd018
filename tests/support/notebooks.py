"""Runs the notebooks under examples/, and writes what they print into them and into the docs.

Run it after a change to a notebook: python tests/support/notebooks.py
"""

import base64
import contextlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shown_outputs import run

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "notebooks" / "look_twice.ipynb"
PICTURE = ROOT / "docs" / "cookbook" / "look-twice-map.png"

_HEAD = """\
# A notebook

**Task:** ask, see how unsure the model was of each word, see where the answer came from, and
switch MemVR off and on.

It is `examples/notebooks/look_twice.ipynb`: `pip install -e ".[langchain]" notebook`, then
`jupyter notebook examples/notebooks`. This page is made from it, and the tests run its cells and
compare what they print.

"""
_FOOT = """
**For your own:** another name in `Backend.load(...)`, and your picture's path.

**Look out:**

- The pages of explanations are not stored in the notebook's file in this repository, nor shown
  here: run their cells.
- In a cell, write `await model.ainvoke(...)`; `asyncio.run(...)` is for programs.
- The backend keeps the model in memory until `backend.close()`, or until the kernel ends.
"""


def read(path: Path) -> dict[str, Any]:
    """A notebook; its cells' sources as one text each."""
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def executed(notebook: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, object]]:
    """Its cells of code one after another in one namespace: what each printed, and its value."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                value = run(cell["source"], f"cell {number}", 1, namespace)
            yield cell, printed.getvalue(), value


def printed_in(cell: dict[str, Any]) -> str:
    """What a cell's stored outputs print."""
    return "".join("".join(one["text"]) for one in cell["outputs"] if "text" in one)


def picture_in(cell: dict[str, Any]) -> str | None:
    """The PNG of a cell's stored outputs, in base64; None where it has none."""
    found = [one["data"]["image/png"] for one in cell.get("outputs", ()) if "data" in one]
    return found[0] if found else None


def write(path: Path) -> None:
    """Run a notebook, and store what is printed and the pictures, but no page."""
    notebook = read(path)
    os.chdir(path.parent)
    for number, (cell, printed, value) in enumerate(executed(notebook), start=1):
        cell["execution_count"] = number
        cell["outputs"] = []
        if printed:
            text = printed.splitlines(keepends=True)
            cell["outputs"].append({"output_type": "stream", "name": "stdout", "text": text})
        if hasattr(value, "_repr_png_"):
            cell["outputs"].append(
                {
                    "output_type": "execute_result",
                    "execution_count": number,
                    "metadata": {},
                    "data": {"image/png": base64.b64encode(value._repr_png_()).decode()},
                }
            )
    for cell in notebook["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def page() -> str:
    """The page of the cookbook that shows the notebook."""
    parts = []
    for cell in read(NOTEBOOK)["cells"]:
        if cell["cell_type"] == "markdown":
            parts.append(cell["source"].replace("# Look twice\n\n", ""))
            continue
        parts.append(f"```python\n{cell['source']}\n```")
        if shown := printed_in(cell):
            parts.append(f"```text\n{shown}```")
        if picture_in(cell):
            parts.append(f"![The picture with the answer's map over it]({PICTURE.name})")
    return _HEAD + "\n\n".join(parts) + "\n" + _FOOT


def main() -> None:
    write(NOTEBOOK)
    [picture] = [found for cell in read(NOTEBOOK)["cells"] if (found := picture_in(cell))]
    PICTURE.write_bytes(base64.b64decode(picture))
    (PICTURE.parent / "notebook.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
