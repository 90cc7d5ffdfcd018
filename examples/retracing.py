"""Arm a transformers model with MemVR, without the backend, and read the trace."""

from pathlib import Path

from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.memvr import MemVRConfig, retracing

model = AutoModelForImageTextToText.from_pretrained(WEIGHTS).eval()
processor = AutoProcessor.from_pretrained(WEIGHTS)

picture = Image.open(Path(__file__).parent / "images" / "farm.png").convert("RGB")
question = {"type": "text", "text": "Is there a dog in the picture?"}
inputs = processor.apply_chat_template(
    [{"role": "user", "content": [{"type": "image", "image": picture}, question]}],
    tokenize=True,
    return_dict=True,
    return_tensors="pt",
    add_generation_prompt=True,
)

# A low threshold, so that something happens: two likely answers give an entropy of .3 at most.
config = MemVRConfig(starting_layer=1, ending_layer=11, entropy_threshold=0.1, retracing_ratio=0.12)
with retracing(model, config, keep_where=True) as trace:
    ids = model.generate(**inputs, max_new_tokens=20, do_sample=False)

print(processor.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
print(trace.summary())
for number, step in enumerate(trace.steps):
    row = step.rows[0]
    probed = {layer: round(entropy, 2) for layer, entropy in row.entropies.items()}
    print(f"step {number}: triggered by {row.trigger_layer}, probed {probed}")
