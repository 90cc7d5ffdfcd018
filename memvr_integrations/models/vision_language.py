"""What the ported models share: visual tokens in a prompt's places, then a decoder of transformers.

They keep to the conventions of transformers' own image-text models (`get_image_features`,
`mm_encoder_outputs`, `config.image_token_id`), so that one code path serves all families.
"""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import AutoModel, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.cache_utils import Cache
from transformers.modeling_outputs import BaseModelOutputWithPooling, CausalLMOutputWithPast

# What this release of transformers calls a cache, in arguments and outputs.
CACHE = next(
    field.name
    for field in dataclasses.fields(CausalLMOutputWithPast)
    if field.name in ("cache", "past_key_values")
)


class VisionLanguageConfig(PretrainedConfig):
    """Settings of a tower and a decoder; `image_token_id` stands for one visual token."""

    sub_configs: ClassVar[dict[str, type[PretrainedConfig]]]

    vision_config: Mapping[str, object] | PretrainedConfig | None = None
    text_config: Mapping[str, object] | PretrainedConfig | None = None
    image_token_id: int = 0
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: object) -> None:
        """Make the parts' settings from the plain values of a file."""
        for name, kind in self.sub_configs.items():
            part = getattr(self, name)
            if not isinstance(part, PretrainedConfig):
                setattr(self, name, kind.from_dict(dict(part or {})))
        super().__post_init__(**kwargs)


class VisionLanguageModel(PreTrainedModel):
    """A vision tower, and a decoder that reads its tokens among those of a text."""

    base_model_prefix = "model"
    input_modalities = ["image", "text"]  # noqa: RUF012
    _supports_sdpa = True
    _supports_flash_attn = True
    _skip_keys_device_placement = [CACHE]  # noqa: RUF012  # transformers' own is no ClassVar
    own_positions = False

    def __init__(self, config: VisionLanguageConfig, vision: nn.Module) -> None:
        super().__init__(config)
        self.vision = vision
        self.language_model = AutoModel.from_config(config.text_config)
        self.post_init()

    def get_image_features(
        self, pixel_values: Tensor, **kwargs: object
    ) -> BaseModelOutputWithPooling:
        """Encode pictures (images, 3, height, width); `pooler_output` has a tensor for each."""
        tokens = self.vision(pixel_values)
        encoded = BaseModelOutputWithPooling(last_hidden_state=tokens)
        encoded["pooler_output"] = list(tokens)
        return encoded

    def positions(self, input_ids: Tensor, mask: Tensor | None) -> Tensor | None:
        """Positions of a whole prompt (rows, length), where they are not simply 0, 1, 2, ..."""
        return None

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        mm_encoder_outputs: Mapping[str, BaseModelOutputWithPooling] | None = None,
        **kwargs: object,
    ) -> object:
        """Run the decoder; arguments as in transformers' own image-text models, a cache too."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Pass either input_ids or inputs_embeds.")
        if inputs_embeds is None:
            inputs_embeds = self.get_input_embeddings()(input_ids)
        encoded = (mm_encoder_outputs or {}).get("image")
        if encoded is None and pixel_values is not None:
            encoded = self.get_image_features(pixel_values)
        if encoded is not None:
            if input_ids is None:
                raise ValueError("Images need input_ids, which hold their places.")
            inputs_embeds = self._placed(input_ids, inputs_embeds, encoded)
        cache = kwargs.get(CACHE)
        past = cache.get_seq_length() if isinstance(cache, Cache) else 0
        if position_ids is None and input_ids is not None and self.own_positions:
            if past:
                raise ValueError("With a cache this model's position_ids must be given.")
            position_ids = self.positions(input_ids, attention_mask)
        if attention_mask is None and self.own_positions:
            # Without a mask, positions that repeat would be taken for several texts in a row.
            rows, width = inputs_embeds.shape[:2]
            attention_mask = inputs_embeds.new_ones((rows, past + width), dtype=torch.long)
        return self.language_model(
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )

    def _placed(self, ids: Tensor, embeds: Tensor, encoded: BaseModelOutputWithPooling) -> Tensor:
        tokens = torch.cat([image.to(embeds) for image in encoded.pooler_output or ()])
        places = ids == self.config.image_token_id
        if int(places.sum()) != len(tokens):
            raise ValueError(
                f"The prompt has {int(places.sum())} image tokens, the images {len(tokens)} "
                "visual tokens; they must be equal."
            )
        return embeds.masked_scatter(places[..., None].to(embeds.device), tokens)


class VisionLanguageGenerator(PreTrainedModel, GenerationMixin):
    """A `VisionLanguageModel` with a head that says the next token."""

    base_model_prefix = "model"
    input_modalities = ["image", "text"]  # noqa: RUF012
    _supports_sdpa = True
    _supports_flash_attn = True
    _skip_keys_device_placement = [CACHE]  # noqa: RUF012  # transformers' own is no ClassVar

    def __init__(self, config: VisionLanguageConfig, model: VisionLanguageModel) -> None:
        super().__init__(config)
        self.model = model
        text = config.get_text_config()
        self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=False)
        self.post_init()

    def get_image_features(
        self, pixel_values: Tensor, **kwargs: object
    ) -> BaseModelOutputWithPooling:
        """Encode pictures, see `VisionLanguageModel.get_image_features`."""
        encoded: BaseModelOutputWithPooling = self.model.get_image_features(pixel_values)
        return encoded

    def _prepare_position_ids_for_generation(
        self, inputs_tensor: Tensor, model_kwargs: dict[str, object]
    ) -> Tensor:
        # `generate` counts on from the last of these, so nothing has to be kept in between.
        cache, ids = model_kwargs.get(CACHE), model_kwargs.get("input_ids")
        ids = ids if isinstance(ids, Tensor) and ids.shape[1] else inputs_tensor
        fresh = not isinstance(cache, Cache) or cache.get_seq_length() == 0
        if fresh and not ids.is_floating_point():
            mask = model_kwargs.get("attention_mask")
            own: Tensor | None = self.model.positions(
                ids, mask if isinstance(mask, Tensor) else None
            )
            if own is not None:
                return own
        given: Tensor = super()._prepare_position_ids_for_generation(inputs_tensor, model_kwargs)
        return given

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        mm_encoder_outputs: Mapping[str, BaseModelOutputWithPooling] | None = None,
        **kwargs: object,
    ) -> CausalLMOutputWithPast:
        """Say the next token; arguments as in transformers' own image-text models."""
        out = self.model(
            input_ids=input_ids,
            pixel_values=pixel_values,
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            mm_encoder_outputs=mm_encoder_outputs,
            **kwargs,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(out.last_hidden_state[:, kept])
        loss = None
        if labels is not None:
            size = self.config.get_text_config().vocab_size
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=size)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            hidden_states=out.hidden_states,
            attentions=out.attentions,
            **{CACHE: out.get(CACHE)},
        )
