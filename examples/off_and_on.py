"""Ask with MemVR off, with the model's preset, and with settings of your own."""

from pathlib import Path

from memvr_integrations.backend import Backend, Request
from memvr_integrations.memvr import MemVRConfig

IMAGES = Path(__file__).parent / "images"

with Backend.load("bundled", progress=False) as backend:
    eager = MemVRConfig(
        starting_layer=1, ending_layer=11, entropy_threshold=0.2, retracing_ratio=0.3
    )
    for name, config in {"off": None, "preset": True, "eager": eager}.items():
        request = Request.ask("Do you see a knife?", IMAGES / "fork-no-knife.png", memvr=config)
        [done] = backend.generate(request)
        print(f"{name}: {done.text} ({done.retraced} of {len(done.tokens)} tokens retraced)")
