"""What a backend says of itself."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class BackendReport:
    """What a backend computed so far, and how.

    Args:
        steps: In each, every running answer got a token.
        images_encoded: Pictures that went through the vision tower.
        prefix_hits: Prompts that went on from one that was kept.
        prefix_tokens: Their tokens that were not read again.
        joins: Whether answers are computed together, and join and leave between steps.
        probe: The kind, the way and why, and the milliseconds that its choice went by; None as
            long as none was chosen, and where MemVR can't attach.
        captures: Whether steps are captured and replayed; false again once one couldn't be.
        replayed: Steps of a group of answers that were replayed.
    """

    steps: int
    images_encoded: int
    prefix_hits: int
    prefix_tokens: int
    joins: bool
    probe: dict[str, str | dict[str, float]] | None
    captures: bool
    replayed: int
