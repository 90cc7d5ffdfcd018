"""An engine for commands that measure: the quickest there is."""

from scripted_engine import ScriptedEngine, text_of

from memvr_integrations.memvr import MemVRConfig


class Agreeing(ScriptedEngine):
    """Says yes to everything, and names a dog in every caption."""

    layers, preset = 12, MemVRConfig(starting_layer=1, ending_layer=6)

    def __init__(self):
        super().__init__(lambda asked: "Yes" if "Answer" in text_of(asked.messages[0]) else "A dog")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass
