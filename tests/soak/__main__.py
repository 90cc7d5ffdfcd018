"""The package under load and malice: `python tests/soak NAME [--options]` prints a table.

`--keep` also writes it into `tests/soak/results/`, which `docs/reliability.md` is made from by
`python tests/soak page`. `python tests/soak` lists the soaks.
"""

import argparse
import importlib
import inspect
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from outcome import outcome_of

# name -> a module of this folder; its `soak(...)` gives what was found, keywords are its options
SOAKS = {
    "broken-numbers": "broken_numbers",
    "callers": "callers",
    "addresses": "addresses",
    "collections": "image_collections",
    "files": "stopped_files",
    "pictures": "hostile_pictures",
    "schemas": "schemas",
}


def main(arguments: list[str]) -> int:
    """Run the soak that the command line names."""
    parser = argparse.ArgumentParser(prog="python tests/soak", description=__doc__)
    names = parser.add_subparsers(dest="name", required=True)
    names.add_parser("page", help="write docs/reliability.md from what was kept")
    soaks = {name: importlib.import_module(module).soak for name, module in SOAKS.items()}
    for name, soak in soaks.items():
        about = inspect.getdoc(soak).splitlines()[0]
        options = names.add_parser(name, help=about, description=inspect.getdoc(soak))
        options.add_argument("--keep", action="store_true", help="write the result for the page")
        for option in inspect.signature(soak).parameters.values():
            kind = type(option.default)
            options.add_argument(
                f"--{option.name.replace('_', '-')}", type=kind, default=option.default
            )
    chosen = vars(parser.parse_args(arguments))
    name = chosen.pop("name")
    if name == "page":
        importlib.import_module("page").write()
        return 0
    keep = chosen.pop("keep")
    usual = {o.name: o.default for o in inspect.signature(soaks[name]).parameters.values()}
    about = inspect.getdoc(soaks[name]).splitlines()[0]
    # The command on the page is for those who read it: where they keep a state is theirs to say.
    given = {what: value for what, value in chosen.items() if value != usual[what]}
    given.pop("state", None)
    options = [f"--{what.replace('_', '-')}={value}" for what, value in given.items()]
    command = shlex.join(["python", "tests/soak", name, *options])
    outcome = outcome_of(name, about, command, lambda: soaks[name](**chosen))
    print(f"\n{outcome.about} {outcome.date}, {outcome.machine}, {outcome.seconds} s.\n")
    print(outcome.table())
    if keep:
        print(outcome.save())
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
