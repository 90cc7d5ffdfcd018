"""Measures the bundled model: `python -m memvr_integrations.bundled.evidence`.

Writes `docs/bundled-evidence.md`, and the model card beside the weights. Unseen art is rendered
from npm packages, unless `--held-out` names a file of it.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from memvr_integrations.bundled import KNOWN_THEMES, WEIGHTS
from memvr_integrations.bundled.art import HELD_OUT, render_styles
from memvr_integrations.bundled.crew import Crew
from memvr_integrations.bundled.examinee import Examinee
from memvr_integrations.bundled.report import Sizes, write_page
from memvr_integrations.bundled.trials import Evidence
from memvr_integrations.bundled.words import THEMES


def main() -> None:
    """Parse the options, measure, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--scenes", type=int, default=1000, help="test scenes for abilities")
    parser.add_argument("--compared", type=int, default=300, help="of them for MemVR and controls")
    parser.add_argument("--dev", type=int, default=150, help="dev scenes for the settings")
    parser.add_argument("--themes", default=",".join(KNOWN_THEMES), help=", ".join(THEMES))
    parser.add_argument("--held-out", type=Path, help="sprites of unseen art; else npm is asked")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--out", type=Path, default=Path("docs/bundled-evidence.md"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        unseen = args.held_out
        if unseen is None:
            unseen = Path(folder) / "held-out.npz"
            np.savez_compressed(unseen, **render_styles(HELD_OUT))  # type: ignore[arg-type]
        evidence = Evidence(Examinee(args.weights), tuple(args.themes.split(",")))
        sizes = Sizes(test=args.scenes, compared=args.compared, dev=args.dev)
        with Crew(args.jobs) as crew:
            write_page(
                crew, evidence, weights=args.weights, unseen=unseen, sizes=sizes, out=args.out
            )


if __name__ == "__main__":
    main()
