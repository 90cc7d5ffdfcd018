"""Makes a model of the parts: `python -m bundled_model.real_language.merge ADAPTER FOLDER`.

The language model comes by pip (see base.py); what comes out is a folder that transformers reads,
and so `memvr ask --model FOLDER` does.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from bundled_model.real_language.adapters import Learner
from bundled_model.real_language.base import fetch
from bundled_model.real_language.llava import build


def merge(file: Path, adapter: Path, folder: Path) -> None:
    """Write the model of a language model's `file` and an adapter's into a folder, in float32."""
    model, processor = build(file)
    learner = Learner(model)
    learner.load(adapter)
    learner.merge(model)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def main(arguments: Sequence[str] | None = None) -> None:
    """Merge what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--base", type=Path, default=Path("scenes-135m-run/base"))
    args = parser.parse_args(arguments)
    merge(fetch(args.base), args.adapter, args.folder)
    print(f"wrote {args.folder}")


if __name__ == "__main__":
    main()
