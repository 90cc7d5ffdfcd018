"""What the model reads of a batch: prompts padded on the left, and their pictures' features."""

from collections.abc import Sequence

import torch
from torch import Tensor

from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.backend.hosting.prompts.writer import Picture, Prompt
from memvr_integrations.backend.hosting.vision import Features, join


def encoded(
    host: Host, prompts: Sequence[Prompt], pictures: Sequence[Sequence[Picture]]
) -> list[list[Features]]:
    """The features of the prompts' pictures; none where the model encodes them itself.

    Raises:
        RequestError: A prompt has another number of image tokens than its pictures became.
    """
    if host.vision is None:
        return [[] for _ in prompts]
    features = host.vision.encode(pictures)
    for prompt, own in zip(prompts, features, strict=True):
        tokens = sum(one.count for one in own)
        # The model itself compares the whole batch's, where two wrongs make a right.
        if tokens != prompt.image_tokens:
            raise host.prompts.lost(
                len(own), f"{tokens} visual tokens for {prompt.image_tokens} image tokens"
            )
    return features


def batch_inputs(
    host: Host, prompts: Sequence[Prompt], features: Sequence[Sequence[Features]]
) -> dict[str, Tensor]:
    """What `generate` takes for prompts with their pictures, a row each."""
    if host.vision is None:
        [prompt] = prompts
        return {
            name: value.to(
                host.model.device, host.model.dtype if value.is_floating_point() else None
            )
            for name, value in prompt.inputs.items()
        }
    inputs = _pad(host, prompts)
    found = [one for own in features for one in own]
    if found:
        inputs["mm_encoder_outputs"] = {"image": join(found)}  # type: ignore[assignment]
    return inputs


def _pad(host: Host, prompts: Sequence[Prompt]) -> dict[str, Tensor]:
    longest = max(prompt.length for prompt in prompts)
    batch: dict[str, Tensor] = {}
    for name in {name: None for prompt in prompts for name in prompt.inputs}:
        parts = []
        for prompt in prompts:
            part = prompt.inputs.get(name)
            if name.endswith("grid_thw"):
                parts += [] if part is None else [part]
                continue
            if part is None:
                part = torch.zeros_like(prompt.inputs["input_ids"])
            fill = host.pad if name == "input_ids" else 0
            missing = longest - prompt.length
            parts.append(torch.nn.functional.pad(part, (missing, 0), value=fill))
        batch[name] = torch.cat(parts).to(host.model.device)
    return batch
