"""The smallest program: load a model, ask about one picture."""

from pathlib import Path

from memvr_integrations.backend import Backend, Request

FARM = Path(__file__).parent / "images" / "farm.png"

with Backend.load("bundled") as backend:
    [done] = backend.generate(Request.ask("Is there a dog in the picture?", FARM))
    print(done.text)
    print(f"retraced at {done.retraced} of {len(done.tokens)} tokens")
