"""Captions: what they are asked for with, and what of the answer is kept."""

from memvr_integrations.errors import ConfigError

CAPTION_PROMPT = "Describe the picture."


def caption_from(answer: str, *, prompt: str, model: str) -> str:
    """An answer to `prompt` as a caption, without blanks around it."""
    caption = answer.strip()
    if not caption:
        raise ConfigError(
            f"{model} gave an empty caption to prompt={prompt!r}; change the prompt or the model."
        )
    return caption
