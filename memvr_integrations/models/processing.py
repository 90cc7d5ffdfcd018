"""Pictures and text as the ported models read them: a placeholder a picture, then its tokens."""

from collections.abc import Sequence
from typing import ClassVar

import PIL.Image
from transformers import (
    BaseImageProcessor,
    BatchFeature,
    CLIPImageProcessorPil,
    PreTrainedTokenizerBase,
    ProcessorMixin,
)


class FixedTokensProcessor(ProcessorMixin):
    """For models that make the same number of tokens of any picture, whatever its shape."""

    attributes: ClassVar[list[str]] = ["image_processor", "tokenizer"]
    # Tokens that only the template may write: in a message's text they would be an empty picture.
    image_frame: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        image_processor: BaseImageProcessor | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        image_token: str = "",
        image_tokens: int = 0,
        chat_template: str | None = None,
    ) -> None:
        """`image_token` stands for a picture in a text, and `image_tokens` times in its ids."""
        self.image_token, self.image_tokens = image_token, image_tokens
        super().__init__(image_processor, tokenizer, chat_template=chat_template)

    def __call__(
        self,
        images: PIL.Image.Image | Sequence[PIL.Image.Image] | None = None,
        text: str | Sequence[str] = "",
        return_tensors: str | None = None,
        padding: bool = False,
        **kwargs: object,
    ) -> BatchFeature:
        """Turn texts with placeholders, and their pictures in order, into a model's inputs.

        Raises:
            ValueError: There are more or fewer pictures than placeholders.
        """
        texts = [text] if isinstance(text, str) else list(text)
        pictures = _flat(images)
        placed = sum(one.count(self.image_token) for one in texts)
        if placed != len(pictures):
            raise ValueError(
                f"{len(pictures)} picture(s) came with a text that has {placed} placeholder(s) "
                f"{self.image_token!r}; there must be one for each."
            )
        longer = [
            one.replace(self.image_token, self.image_token * self.image_tokens) for one in texts
        ]
        # The templates write every special token themselves.
        encoded = self.tokenizer(
            longer, add_special_tokens=False, padding=padding, return_tensors=return_tensors
        )
        data = {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}
        if pictures:
            data |= dict(self.image_processor(images=pictures, return_tensors=return_tensors))
        return BatchFeature(data, tensor_type=return_tensors)


class QwenVLProcessor(FixedTokensProcessor):
    """Pictures and text for Qwen-VL-Chat."""

    image_frame = ("<img>", "</img>")


class Glm4VProcessor(FixedTokensProcessor):
    """Pictures and text for GLM-4V-9B."""

    image_frame = ("<|begin_of_image|>", "<|end_of_image|>")


def square_pictures(side: int) -> CLIPImageProcessorPil:
    """Pictures squeezed to a square, as both checkpoints were trained, with CLIP's colours."""
    return CLIPImageProcessorPil(
        size={"height": side, "width": side}, do_center_crop=False, default_to_square=True
    )


def _flat(images: object) -> list[PIL.Image.Image]:
    if isinstance(images, PIL.Image.Image):
        return [images]
    parts = images if isinstance(images, list | tuple) else []
    return [picture for part in parts for picture in _flat(part)]
