"""From a checkpoint's files to its processor: what turns messages and pictures into tensors.

Videos and sounds are never asked for, and what transformers has for them needs packages that we do
not (torchvision, num2words). So a processor is read without those parts, and pictures always go
through Pillow: tokens and pixels are the same whatever else is installed.
"""

import json
import math
import re
from collections.abc import Sequence

import PIL.Image
import transformers
from transformers import (
    AutoImageProcessor,
    AutoProcessor,
    AutoTokenizer,
    BaseImageProcessor,
    BatchFeature,
    Idefics3Processor,
    PretrainedConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    ProcessorMixin,
)
from transformers.models.auto import processing_auto
from transformers.utils.hub import cached_file

from memvr_integrations.errors import ModelLoadError, UnsupportedModelError

# In the order in which transformers searches for the name of a processor's class.
_FILES = (
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "tokenizer_config.json",
)
_READ = {"image_processor", "tokenizer"}
_LEFT_OUT = {"video_processor", "feature_extractor", "audio_processor"}


def load_processor(source: str, revision: str | None, settings: PretrainedConfig) -> ProcessorMixin:
    """Read a checkpoint's processor without its parts for videos and sounds.

    Args:
        source: A directory or a hub id.
        revision: Of the hub id.
        settings: The model's configuration, which names the processor where no file does.

    Raises:
        UnsupportedModelError: The checkpoint has none that reads images.
        ModelLoadError: It needs a package that is missing.
    """
    kind = _kind(source, revision, settings)
    if kind is None or set(kind.get_attributes()) - _LEFT_OUT != _READ:
        found = AutoProcessor.from_pretrained(source, revision=revision, trust_remote_code=False)
        if not isinstance(found, ProcessorMixin):
            raise UnsupportedModelError(
                f"{source} has a {type(found).__name__} and no processor, so images can't become "
                "part of its prompts. Choose a vision-language checkpoint with a "
                "preprocessor_config.json."
            )
        return found
    missing = dict.fromkeys(_LEFT_OUT & set(kind.get_attributes()))
    if missing:
        kind = type(kind.__name__, (kind, _ImagesAndText), {})
    # Pixtral's files name a class of tokenizer that would split words by rules of its own.
    tokenizers = PreTrainedTokenizerFast if kind is PixtralPrompts else AutoTokenizer
    stored, _ = kind.get_processor_dict(source, revision=revision)
    read: ProcessorMixin = kind.from_args_and_dict(
        [],
        {name: value for name, value in stored.items() if name not in _LEFT_OUT},
        image_processor=AutoImageProcessor.from_pretrained(
            source, revision=revision, trust_remote_code=False, config=settings, backend="pil"
        ),
        tokenizer=tokenizers.from_pretrained(
            source, revision=revision or "main", trust_remote_code=False
        ),
        **missing,
    )
    _fill_in(read, settings)
    return read


def _fill_in(processor: ProcessorMixin, settings: PretrainedConfig) -> None:
    """Take what older checkpoints lack in their processor's files from their model's settings."""
    vision = getattr(settings, "vision_config", None)
    if not hasattr(processor, "patch_size") or processor.patch_size is not None or vision is None:
        return
    processor.patch_size = vision.patch_size
    if getattr(processor, "vision_feature_select_strategy", "") is None:
        strategy = settings.vision_feature_select_strategy
        processor.vision_feature_select_strategy = strategy  # type: ignore[attr-defined]
        # The class token, which "default" takes away again.
        more = int(vision.model_type == "clip_vision_model")
        processor.num_additional_image_tokens = more  # type: ignore[attr-defined]


def _kind(
    source: str, revision: str | None, settings: PretrainedConfig
) -> type[ProcessorMixin] | None:
    """The processor's class by the checkpoint's files, else by the model's type."""
    files = (
        cached_file(source, file, revision=revision, _raise_exceptions_for_missing_entries=False)
        for file in _FILES
    )
    names = (_named(file) for file in files if file is not None)
    usual = processing_auto.PROCESSOR_MAPPING_NAMES  # type: ignore[attr-defined]
    name = next(filter(None, names), usual.get(settings.model_type)) or ""
    try:
        found = _INSTEAD.get(name) or getattr(transformers, name, None)
    except ModuleNotFoundError as error:
        raise ModelLoadError(
            f"{name} can't be imported from transformers {transformers.__version__} "
            f"({error.__cause__ or error}). Upgrade transformers, or install what it names."
        ) from error
    return found if isinstance(found, type) and issubclass(found, ProcessorMixin) else None


def _named(file: str) -> str | None:
    with open(file, encoding="utf-8") as opened:
        name = json.load(opened).get("processor_class")
    return name if isinstance(name, str) else None


class _ImagesAndText(ProcessorMixin):
    """Stands between a processor and `ProcessorMixin`, and keeps the parts that are not there out.

    The processor's own constructor runs as it is, with None for those parts.
    """

    def __init__(self, *parts: object, **named: object) -> None:
        every = super().get_attributes()  # type: ignore[no-untyped-call]
        given = dict(zip(every, parts, strict=False)) | named
        kept = {name: part for name, part in given.items() if name not in _LEFT_OUT}
        super().__init__(**kept)  # type: ignore[no-untyped-call]

    @classmethod
    def get_attributes(cls) -> list[str]:
        """The names of the parts that are there."""
        every: list[str] = super().get_attributes()  # type: ignore[no-untyped-call]
        return [name for name in every if name not in _LEFT_OUT]


class PixtralPrompts(ProcessorMixin):
    """Pixtral's processor, whose own module needs torchvision.

    Every row of an image's patches ends with a break token, the last one with an end token.
    """

    def __init__(
        self,
        image_processor: BaseImageProcessor,
        tokenizer: PreTrainedTokenizerBase,
        patch_size: int = 16,
        spatial_merge_size: int = 1,
        chat_template: str | None = None,
        image_token: str = "[IMG]",
        image_break_token: str = "[IMG_BREAK]",
        image_end_token: str = "[IMG_END]",
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            image_processor, tokenizer, chat_template=chat_template
        )
        self.patch_size, self.spatial_merge_size = patch_size, spatial_merge_size
        self.image_token, self.image_break_token = image_token, image_break_token
        self.image_end_token = image_end_token

    def __call__(
        self,
        images: Sequence[Sequence[PIL.Image.Image]] | None = None,
        text: str | Sequence[str] = "",
        videos: None = None,
        audio: None = None,
        **tokenizing: object,
    ) -> BatchFeature:
        """Tokenise texts whose placeholders become their images' tokens.

        Raises:
            ValueError: There are more or fewer placeholders than images.
        """
        texts, pixels = [text] if isinstance(text, str) else list(text), {}
        if images is not None:
            step = self.patch_size * self.spatial_merge_size
            longest = self.image_processor.size["longest_edge"]
            images = [[_with_sides(image, longest) for image in several] for several in images]
            pixels = self.image_processor(images, patch_size=step, return_tensors="pt")
        sizes: list[list[int]] = [list(map(int, size)) for size in pixels.get("image_sizes", ())]
        placed = sum(one.count(self.image_token) for one in texts)
        if placed != len(sizes):
            raise ValueError(f"{placed} {self.image_token} in the prompt for {len(sizes)} image(s)")
        written = map(self._written, sizes)
        token = re.escape(self.image_token)
        texts = [re.sub(token, lambda _: next(written), one) for one in texts]
        return BatchFeature({**self.tokenizer(texts, **tokenizing), **pixels})

    def _written(self, size: Sequence[int]) -> str:
        step = self.patch_size * self.spatial_merge_size
        row = self.image_token * (size[1] // step)
        return self.image_break_token.join([row] * (size[0] // step)) + self.image_end_token


def _with_sides(image: PIL.Image.Image, longest: int) -> PIL.Image.Image:
    """A picture that keeps both of its sides when its longer one becomes `longest` pixels."""
    least = math.ceil(max(image.size) / longest)
    if min(image.size) >= least:
        return image
    width, height = (max(side, least) for side in image.size)
    return image.resize((width, height))


# These need packages for videos even when they get none; SmolVLM writes images as Idefics3 does.
_INSTEAD: dict[str, type[ProcessorMixin]] = {
    "SmolVLMProcessor": Idefics3Processor,
    "PixtralProcessor": PixtralPrompts,
}
