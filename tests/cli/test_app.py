"""The `memvr` command: its list, its help, what it imports, Ctrl-C and readers that leave."""

import json
import os
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
from typer.testing import CliRunner

from memvr_integrations.backend import Backend
from memvr_integrations.cli import app
from memvr_integrations.cli.console import errors_shown
from memvr_integrations.errors import MemVRWarning

ROOT = Path(__file__).parents[2]
LOADING = "Loading bundled ...\n"

# An answer that does not end by itself, without the seconds that importing torch takes.
ENDLESS = """
import time
import memvr_integrations.backend as door
from memvr_integrations.cli import main
from memvr_integrations.memvr.config import MemVRConfig
from memvr_integrations.types import Chunk

class Backend:
    preset = MemVRConfig()
    load = classmethod(lambda cls, *names, **options: cls())
    __enter__ = lambda self: self
    __exit__ = lambda self, *raised: None

    def stream(self, request):
        while True:
            time.sleep(0.01)
            yield Chunk(text="word ")

door.Backend = Backend
main()
"""


def in_shell(code, *arguments, **options):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        # Tests may run in the background, where a shell has children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )


def test_models(memvr):
    table = memvr("models").stdout
    assert table.splitlines()[1].split()[:2] == ["bundled", "yes"]
    assert "llava-1.5-13b" in table
    [alone] = [line for line in table.splitlines() if "run alone" in line]
    assert alone.startswith("paligemma2-3b ")
    assert alone.endswith("Answers of over 4,096 tokens run alone.")
    rows = json.loads(memvr("models", "--json").stdout)
    assert rows[0]["downloaded"] is True
    assert {"name", "checkpoint", "licence", "calibrated", "photographs"} <= set(rows[0])


def test_help_and_version(memvr):
    for arguments in (["--help"], ["ask", "--help"], ["models", "-h"]):
        result = memvr(*arguments)
        assert result.exit_code == 0
        assert "Usage" in result.stdout
    assert "stdin" in memvr("ask", "--help").stdout
    assert memvr("--version").stdout.startswith("memvr 0.")
    assert memvr().exit_code == 2


NO_MODEL_NEEDED = [
    ["--help"],
    ["eval", "--help"],
    ["doctor", "--help"],
    ["models"],
    ["ask", "nowhere.png", "What?"],
    ["ask", "--example", "--decoding", "vdc"],
    ["ask", "--example", "--temperature", "-1"],
    ["eval", "popes", "--out", "x"],
    ["eval", "scenes", "--out", "x", "--strategies", "memvvr"],
    ["calibrate", "popes", "--out", "x"],
    ["blindfold", "popes", "--out", "x"],
]


def test_what_needs_no_model_imports_neither_torch_nor_transformers():
    code = (
        "import contextlib, json, sys\n"
        "from memvr_integrations.cli import main\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    sys.argv[1:] = words\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        main()\n"
        "    heavy = {'torch', 'transformers', 'numpy'} & set(sys.modules)\n"
        "    print('imported', words, sorted(heavy))\n"
    )
    out, err = in_shell(code, json.dumps(NO_MODEL_NEEDED)).communicate(timeout=60)
    found = [line for line in out.decode().splitlines() if line.startswith("imported")]
    assert found == [f"imported {words} []" for words in NO_MODEL_NEEDED]
    assert b"Loading" not in err
    assert b"Traceback" not in err


@pytest.mark.parametrize(
    ("words", "begun", "names"),
    [
        ("memvr ask -m llava-1", "llava-1.5-7b", "llava-1.5-13b"),
        ("memvr eval mm", "mme", "mm-vet"),
        ("memvr eval scenes --strategies memvr,fl", "memvr,flb", "memvr,flb"),
        ("memvr ask --decoding ic", "icd", "icd"),
    ],
)
def test_a_shell_completes_names(words, begun, names):
    environment = {
        "_MEMVR_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    done = CliRunner().invoke(app, [], prog_name="memvr", env=environment)
    assert {begun, names} <= set(done.output.split())


# -- signals and pipes


def test_ctrl_c_in_the_middle_of_an_answer(memvr, monkeypatch, make_backend, endless, scene_file):
    backend, waiting = make_backend(), threading.main_thread().ident
    monkeypatch.setattr(Backend, "load", lambda name, **options: backend)

    def interrupt(rows):
        if hook.forwards == 20:
            signal.pthread_kill(waiting, signal.SIGINT)

    # Of processes that a shell began in the background it is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with endless(backend) as hook:
            hook.before = interrupt
            result = memvr("ask", scene_file, "What?", "--max-tokens", 1900)
    finally:
        signal.signal(signal.SIGINT, before)
    assert result.exit_code == 130
    assert result.stderr.removeprefix(LOADING).split() == ["interrupted"]
    assert result.stdout
    assert hook.forwards < 1000  # the computing was stopped, too


def test_ctrl_c_while_something_swallows_it():
    """As transformers does while it is imported."""
    code = (
        "import time\n"
        "from memvr_integrations.cli.console import leaving_at_once\n"
        "with leaving_at_once():\n"
        "    print('in', flush=True)\n"
        "    try:\n"
        "        time.sleep(60)\n"
        "    except BaseException:\n"
        "        raise ImportError('odd') from None\n"
    )
    process = in_shell(code)
    assert process.stdout.read(2) == b"in"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors.decode().split()) == (130, ["interrupted"])


def test_the_handler_is_put_back():
    from memvr_integrations.cli.console import leaving_at_once

    before = signal.getsignal(signal.SIGINT)
    with leaving_at_once():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_a_reader_that_leaves_gets_no_traceback(scene_file):
    process = in_shell(ENDLESS, "ask", scene_file, "What?", "--max-tokens", 1900)
    assert process.stdout.read(1)
    process.stdout.close()
    errors = process.stderr.read().decode()
    assert process.wait(60) != 0
    assert "Traceback" not in errors
    assert "Exception" not in errors
    process.stderr.close()


def test_the_same_hint_comes_once(capsys):
    with errors_shown() as hints:
        for text in ("Mind this.", "And that.", "Mind this."):
            warnings.warn(text, MemVRWarning, stacklevel=1)
    assert hints == ["Mind this.", "And that."]
    assert capsys.readouterr().err.splitlines() == ["hint: Mind this.", "hint: And that."]
