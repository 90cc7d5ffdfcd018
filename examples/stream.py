"""Stream an answer token by token, then show where the model retraced."""

from pathlib import Path

from memvr_integrations.backend import Backend, Request, SamplingParams

KITCHEN = Path(__file__).parent / "images" / "kitchen.png"

with Backend.load("bundled", progress=False) as backend:
    request = Request.ask(
        "Describe the picture.", KITCHEN, sampling=SamplingParams(max_tokens=60), timeout=60
    )
    for chunk in backend.stream(request):
        print(chunk.text, end="", flush=True)
        done = chunk.completion

print(f"\n{done.finish_reason}, {done.usage.total_tokens} tokens in all")
for token in done.tokens:
    if token.trigger_layer is not None:
        print(f"{token.text!r}: layer {token.trigger_layer}, entropy {token.entropy:.2f}")
