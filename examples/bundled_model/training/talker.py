"""The whole model under training, and how it answers and reads packed rows."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlavaForConditionalGeneration

from bundled_model.training import patch_targets, slot_attention
from bundled_model.training.model import VISION_WIDTH
from bundled_model.training.packing import Packer


class Talker(nn.Module):
    """The whole model, the heads of the first stage, and heads that read visual tokens."""

    def __init__(self, model: LlavaForConditionalGeneration) -> None:
        super().__init__()
        self.llava: LlavaForConditionalGeneration = model
        self.heads = patch_targets.DenseHeads(VISION_WIDTH)
        width = model.config.get_text_config().hidden_size
        self.readers = patch_targets.DenseHeads(width)

    @property
    def tower(self) -> nn.Module:
        """The image tower."""
        tower: nn.Module = self.llava.model.vision_tower
        return tower

    def see(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What the tower sees (batch, tokens, its width), and visual tokens of the decoder."""
        seen = self.tower(pixel_values=images, output_hidden_states=True).hidden_states[-1]
        return seen, self.llava.model.multi_modal_projector(seen)


def answer_logits(
    model: LlavaForConditionalGeneration,
    packer: Packer,
    features: Tensor,
    packed: slot_attention.Slots,
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (tokens, vocabulary), targets and numbers of the same (tokens,) of all answer tokens.

    `features` (rows, tokens, width) are the visual tokens of each row's image; a row's second
    picture is the next row's.
    """
    device, kind = features.device, features.dtype
    packed = packed.to(device)
    ids, targets = packed.ids, packed.labels
    embed = model.get_input_embeddings()
    before = embed(torch.tensor(packer.before_image, device=device)).expand(len(packed.ids), -1, -1)
    words = embed(ids)
    pictures = ids == packer.image
    if pictures.any():
        # A row may hold its second picture several times.
        times = pictures.sum(1) // features.shape[1]
        second = features.roll(-1, 0).repeat_interleave(times, 0)
        words = words.masked_scatter(pictures[..., None], second.to(words.dtype))
    hidden = model.model.language_model(
        inputs_embeds=torch.cat([before, features, words], 1),
        attention_mask=packed.mask.clamp(min=torch.finfo(kind).min).to(kind),
        position_ids=packed.positions,
        use_cache=False,
    ).last_hidden_state[:, packer.prefix :]
    wanted = targets[:, 1:] >= 0
    logits = model.lm_head(hidden[:, :-1][wanted]).float()
    return logits, targets[:, 1:][wanted], packed.same[:, 1:][wanted]


def read_as_words(model: LlavaForConditionalGeneration, packer: Packer, features: Tensor) -> Tensor:
    """Visual tokens read by the language model's own output layer, as classes (0: background)."""
    words = model.model.language_model.norm(features)
    read: Tensor = model.lm_head(words)[..., packer.class_tokens].float()
    return read


def disagreement(margins: Tensor, same: Tensor) -> Tensor:
    """How far the margins of one number are from their mean, on average; 0 where there are none."""
    if not len(margins):
        return margins.sum()
    _, group = same.unique(return_inverse=True)
    sums = torch.zeros(int(group.max()) + 1, device=margins.device).index_add(0, group, margins)
    mean = sums / group.bincount()
    return F.smooth_l1_loss(margins, mean[group])
