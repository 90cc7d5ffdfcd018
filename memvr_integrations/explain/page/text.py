"""An explanation in sentences: for agents, logs, and whoever can't see a map."""

from memvr_integrations.explain.mapped import MappedAnswer
from memvr_integrations.explain.page.wording import said_of
from memvr_integrations.types.answers import unsureness


def sentences(explained: MappedAnswer) -> str:
    """The answer, a line a picture about where it came from, and how unsure the model was."""
    unsure = unsureness((token.text, token.output_entropy) for token in explained.tokens)
    return "\n".join(
        [
            explained.answer.strip() or "(no words)",
            *(
                f"{name}: {_where(explained, image)} {_judged(explained, image)}".rstrip()
                for image, name in enumerate(explained.names)
            ),
            f"Unsureness: {unsure:.2f} (0 is sure, 1 is not at all).",
        ]
    )


def _where(explained: MappedAnswer, image: int) -> str:
    if explained.flat(image):
        return "no place; the map is flat."
    box = explained.box(image)
    if box is None:
        return "no place."
    picture = explained.images[image]
    edges = "left {:.0f}, top {:.0f}, right {:.0f}, bottom {:.0f}".format(*box)
    return f"the answer came from around {edges} of its {picture.width} x {picture.height} pixels."


def _judged(explained: MappedAnswer, image: int) -> str:
    return said_of(explained, image, None, explained.state)
