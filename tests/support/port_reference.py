"""What the originals of the ported models compute, under their published names.

Written on its own and not after the ports: one prompt at a time, no padding, attention written
out, and nothing of transformers. MemVR is here as the originals have it: SiLU between the hidden
state and the visual tokens, and no final norm before the head.
"""

import math
from collections import namedtuple

import torch
from torch import nn
from torch.nn import functional

EPSILON = 1e-6  # of all norms in Qwen's tower, whatever its settings say
ADAPTER_EPSILON = 1e-5  # of the norm in GLM's adapter, likewise

# Logits of the prompt's positions, then what each step brought.
Answer = namedtuple("Answer", "prompt logits ids triggers entropies")


class Original:
    """What both have in common; `picture` is the token that stands for a visual one."""

    def __init__(self, settings, weights, picture):
        self.settings, self.weights, self.picture = settings, weights, picture

    def weight(self, name):
        return self.weights[f"{name}.weight"]

    def linear(self, x, name):
        return functional.linear(x, self.weight(name), self.weights.get(f"{name}.bias"))

    def layer_norm(self, x, name, epsilon):
        scale, bias = self.weight(name), self.weights[f"{name}.bias"]
        return functional.layer_norm(x, x.shape[-1:], scale, bias, epsilon)

    def convolved(self, x, name, stride):
        x = functional.conv2d(x, self.weight(name), self.weights.get(f"{name}.bias"), stride)
        return x.flatten(2).transpose(1, 2)

    def rms_norm(self, x, name):
        scale = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.settings[self.epsilon])
        return x * scale * self.weight(name)

    def prompt(self, ids, pixels):
        """Embeddings with the pictures in their places, positions, and the visual tokens."""
        embeds = self.weight(self.words)[torch.tensor(ids)]
        if pixels is None:
            return embeds, torch.arange(len(ids)), None
        visual = torch.cat(list(self.see(pixels)))
        places = [at for at, token in enumerate(ids) if token == self.picture]
        embeds[places] = visual
        return embeds, self.positions(len(ids), places), visual

    def positions(self, length, places):
        return torch.arange(length)

    def attention(self, x, layer, positions, cache):
        """Causal attention to all that came before; `cache` keeps a layer's keys and values."""
        query, key, value = self.split(x, layer)
        query, key = self.rotated(query, positions), self.rotated(key, positions)
        if layer in cache:
            key = torch.cat([cache[layer][0], key], dim=1)
            value = torch.cat([cache[layer][1], value], dim=1)
        cache[layer] = (key, value)
        shared = query.shape[0] // key.shape[0]
        key, value = key.repeat_interleave(shared, 0), value.repeat_interleave(shared, 0)
        new, length = query.shape[1], key.shape[1]
        future = torch.full((new, length), -math.inf).triu(1 + length - new)
        return attended(query, key, value, future).transpose(0, 1).flatten(1)

    def evidence(self, x, layer, visual):
        """The visual tokens as an FFN, their keys as large as its own weights."""
        size = self.weight(f"{layer}.{self.up}").abs().mean() / visual.abs().mean()
        return functional.silu(x @ (visual * size).T) @ visual

    def decode(self, x, positions, cache, visual, config):
        """One pass: logits of all its positions, the layer that triggered, entropies by layer."""
        trigger, entropies = None, {}
        for at in range(self.settings[self.depth]):
            layer = self.layer.format(at)
            inner = self.rms_norm(x, f"{layer}.{self.norms[0]}")
            mixed = self.attention(inner, layer, positions, cache)
            x = x + self.linear(mixed, f"{layer}.{self.mixed}")
            inner = self.rms_norm(x, f"{layer}.{self.norms[1]}")
            output = self.feed_forward(inner, layer)
            if trigger is not None and at == trigger + 1:
                evidence = self.evidence(inner, layer, visual)
                evidence = evidence * output.abs().mean() / evidence.abs().mean()
                output = output + config.retracing_ratio * (evidence - output)
            x = x + output
            probed = visual is not None and config.starting_layer < at < config.ending_layer
            if probed and trigger is None:
                shares = self.linear(x[-1], self.head).topk(10).values.softmax(-1)
                entropies[at] = float(-(shares * shares.log()).sum() / math.log(10))
                if entropies[at] > config.entropy_threshold:
                    trigger = at
        return self.linear(self.rms_norm(x, self.final), self.head), trigger, entropies

    @torch.no_grad()
    def answer(self, ids, pixels, steps, config):
        """Decode greedily, a step at a time."""
        x, positions, visual = self.prompt(ids, pixels)
        cache, passes = {}, []
        for _ in range(steps):
            passes.append(self.decode(x, positions, cache, visual, config))
            x = self.weight(self.words)[passes[-1][0][-1:].argmax(-1)]
            positions = positions[-1:] + 1
        logits, triggers, entropies = zip(*passes, strict=True)
        last = torch.stack([one[-1] for one in logits])
        return Answer(logits[0], last, last.argmax(-1).tolist(), list(triggers), list(entropies))


class Qwen(Original):
    """Qwen-VL-Chat."""

    layer, norms, final = "transformer.h.{}", ("ln_1", "ln_2"), "transformer.ln_f"
    words, head, mixed, up = "transformer.wte", "lm_head", "attn.c_proj", "mlp.w1"
    depth, epsilon = "num_hidden_layers", "layer_norm_epsilon"

    def split(self, x, layer):
        heads = (len(x), self.settings["num_attention_heads"], self.settings["kv_channels"])
        fused = self.linear(x, f"{layer}.attn.c_attn").chunk(3, -1)
        return [part.reshape(heads).transpose(0, 1) for part in fused]

    def rotated(self, x, positions):
        """Turn the first half of a head against its second half."""
        size, base = x.shape[-1], self.settings["rotary_emb_base"]
        angles = positions[:, None] / base ** (torch.arange(0, size, 2).float() / size)
        across = torch.cat([-x[..., size // 2 :], x[..., : size // 2]], -1)
        return x * angles.cos().repeat(1, 2) + across * angles.sin().repeat(1, 2)

    def feed_forward(self, x, layer):
        gate = functional.silu(self.linear(x, f"{layer}.mlp.w2"))
        return self.linear(self.linear(x, f"{layer}.mlp.w1") * gate, f"{layer}.mlp.c_proj")

    def see(self, pixels):
        """A ViT, and queries that read its patches."""
        tower, visual = "transformer.visual", self.settings["visual"]
        x = self.convolved(pixels, f"{tower}.conv1", visual["patch_size"])
        x = x + stretched(self.weights[f"{tower}.positional_embedding"], x.shape[1])
        x = self.layer_norm(x, f"{tower}.ln_pre", EPSILON)
        for at in range(visual["layers"]):
            x = self.block(x, f"{tower}.transformer.resblocks.{at}", visual["heads"])
        x = self.layer_norm(self.resampled(x, f"{tower}.attn_pool"), f"{tower}.ln_post", EPSILON)
        return x @ self.weights[f"{tower}.proj"]

    def block(self, x, own, heads):
        fused = self.linear(self.layer_norm(x, f"{own}.ln_1", EPSILON), f"{own}.attn.in_proj")
        # Each head has its query, key and value side by side.
        fused = fused.unflatten(-1, (heads, -1)).transpose(1, 2)
        mixed = attended(*fused.chunk(3, -1)).transpose(1, 2).flatten(2)
        x = x + self.linear(mixed, f"{own}.attn.out_proj")
        inner = self.linear(self.layer_norm(x, f"{own}.ln_2", EPSILON), f"{own}.mlp.c_fc")
        return x + self.linear(functional.gelu(inner), f"{own}.mlp.c_proj")

    def resampled(self, x, own):
        place = self.weights[f"{own}.pos_embed"]
        x = self.layer_norm(self.linear(x, f"{own}.kv_proj"), f"{own}.ln_kv", EPSILON)
        query = self.layer_norm(self.weights[f"{own}.query"], f"{own}.ln_q", EPSILON) + place
        heads = max(1, x.shape[-1] // 128)
        attention = nn.MultiheadAttention(x.shape[-1], heads, batch_first=True)
        names = attention.state_dict()
        attention.load_state_dict({name: self.weights[f"{own}.attn.{name}"] for name in names})
        return attention(query.expand(len(x), -1, -1), x + stretched(place, x.shape[1]), x)[0]


class Glm(Original):
    """GLM-4V-9B."""

    layer, final = "transformer.encoder.layers.{}", "transformer.encoder.final_layernorm"
    norms = ("input_layernorm", "post_attention_layernorm")
    words, head = "transformer.embedding.word_embeddings", "transformer.output_layer"
    mixed, up = "self_attention.dense", "mlp.dense_h_to_4h"
    depth, epsilon = "num_layers", "layernorm_epsilon"

    def positions(self, length, places):
        """All patches share the position after the frame's beginning."""
        begin, patches = places[0], len(places) - 2
        shared = [begin + 1] * patches
        return torch.tensor([*range(begin + 1), *shared, *range(begin + 2, length - patches + 1)])

    def split(self, x, layer):
        heads, size = self.settings["num_attention_heads"], self.settings["kv_channels"]
        fused = self.linear(x, f"{layer}.self_attention.query_key_value")
        if not self.settings["multi_query_attention"]:
            # Each head has its query, key and value side by side.
            return fused.view(len(x), heads, 3 * size).transpose(0, 1).chunk(3, -1)
        groups = self.settings["multi_query_group_num"]
        parts = fused.split([heads * size, groups * size, groups * size], -1)
        return [part.reshape(len(x), -1, size).transpose(0, 1) for part in parts]

    def rotated(self, x, positions):
        """Turn neighbours in the first half of a head against each other."""
        size, base = x.shape[-1] // 2, 10000 * self.settings.get("rope_ratio", 1)
        angles = positions[:, None] / base ** (torch.arange(0, size, 2).float() / size)
        angles = angles.repeat_interleave(2, -1)
        across = torch.stack([-x[..., 1:size:2], x[..., 0:size:2]], -1).flatten(-2)
        return torch.cat([x[..., :size] * angles.cos() + across * angles.sin(), x[..., size:]], -1)

    def feed_forward(self, x, layer):
        gate, up = self.linear(x, f"{layer}.mlp.dense_h_to_4h").chunk(2, -1)
        return self.linear(functional.silu(gate) * up, f"{layer}.mlp.dense_4h_to_h")

    def see(self, pixels):
        """EVA2-CLIP without its first token, a convolution, a GLU, and a frame of two vectors."""
        tower, visual = "transformer.vision", self.settings["vision_config"]
        own = f"{tower}.patch_embedding"
        x = self.convolved(pixels, f"{own}.proj", visual["patch_size"])
        first = self.weights[f"{own}.cls_embedding"].expand(len(x), 1, -1)
        x = torch.cat([first, x], 1) + self.weight(f"{own}.position_embedding")
        for at in range(visual["num_hidden_layers"]):
            x = self.block(x, f"{tower}.transformer.layers.{at}")
        side = math.isqrt(x.shape[1] - 1)
        grid = x[:, 1:].transpose(1, 2).unflatten(2, (side, side))
        x, own = self.convolved(grid, f"{tower}.conv", 2), f"{tower}.linear_proj"
        x = self.layer_norm(self.linear(x, f"{own}.linear_proj"), f"{own}.norm1", ADAPTER_EPSILON)
        x = functional.gelu(x)
        gate = functional.silu(self.linear(x, f"{own}.gate_proj"))
        x = self.linear(gate * self.linear(x, f"{own}.dense_h_to_4h"), f"{own}.dense_4h_to_h")
        frame = [self.weights[f"{tower}.{name}"].expand(len(x), 1, -1) for name in ("boi", "eoi")]
        return torch.cat([frame[0], x, frame[1]], 1) / visual["scaling_factor"]

    def block(self, x, own):
        visual = self.settings["vision_config"]
        epsilon = visual["layer_norm_eps"]
        fused = self.linear(x, f"{own}.attention.query_key_value")
        fused = fused.unflatten(-1, (3, visual["num_heads"], -1)).permute(2, 0, 3, 1, 4)
        mixed = attended(*fused).transpose(1, 2).flatten(2)
        mixed = self.linear(mixed, f"{own}.attention.dense")
        x = x + self.layer_norm(mixed, f"{own}.input_layernorm", epsilon)
        output = self.linear(functional.gelu(self.linear(x, f"{own}.mlp.fc1")), f"{own}.mlp.fc2")
        return x + self.layer_norm(output, f"{own}.post_attention_layernorm", epsilon)


def attended(query, key, value, mask=0):
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]) + mask
    return scores.softmax(-1) @ value


def stretched(table, patches):
    """A square table of positions at another size."""
    have, want = math.isqrt(len(table)), math.isqrt(patches)
    if have == want:
        return table
    grid = table.view(1, have, have, -1).permute(0, 3, 1, 2)
    grid = functional.interpolate(grid, size=(want, want), mode="bicubic", align_corners=False)
    return grid.permute(0, 2, 3, 1).flatten(0, 2)
