"""A langchain-core before 1.8 has no decisions; the rest of the door works with it."""

import subprocess
import sys

OLDER = """
import sys
sys.modules["langchain_core.decisions"] = None
from memvr_integrations import langchain
from memvr_integrations.langchain import *
print(ChatMemVR.__name__, hasattr(langchain, "MemVRDecision"), "MemVRDecision" in dir(langchain))
for name in ("MemVRDecision", "Other"):
    try:
        getattr(langchain, name)
    except AttributeError as error:
        print(error)
"""


def test_the_door_opens_without_decisions():
    out = subprocess.run([sys.executable, "-c", OLDER], check=True, capture_output=True, text=True)
    names, decision, other = out.stdout.splitlines()
    assert names == "ChatMemVR False False"
    assert decision.endswith("no attribute 'MemVRDecision'; it needs langchain-core 1.8 or later")
    assert other.endswith("has no attribute 'Other'")
