"""Stream an answer token by token, then show where the image was retraced."""

from pathlib import Path

from memvr_integrations.backend import Backend, Request, SamplingParams

FARM = Path(__file__).parent / "images" / "farm-no-dog.png"

with Backend.load("bundled", progress=False) as backend:
    request = Request.ask(
        "Describe the picture.", FARM, sampling=SamplingParams(max_tokens=60), timeout=60
    )
    for chunk in backend.stream(request):
        print(chunk.text, end="", flush=True)
        done = chunk.completion

print("\ntruth: a house, a tree, a cow")
print(f"{done.finish_reason}, {done.usage.total_tokens} tokens in all")
for token in done.tokens:
    if token.trigger_layer is not None:
        print(f"{token.text!r}: layer {token.trigger_layer}, entropy {token.entropy:.2f}")
