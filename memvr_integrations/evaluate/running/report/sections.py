"""One question as a part of a page: what was asked, what is right, and who answered what."""

import html
from collections.abc import Iterator

from memvr_integrations.evaluate.running.report.asked import Asked, Replies, Said

_SHOWN = 2000  # characters of an answer
_MARKS = {
    True: '<span class="good"><span aria-hidden="true">✓</span> right</span>',
    False: '<span class="bad"><span aria-hidden="true">✗</span> wrong</span>',
    None: '<span class="note">not judged</span>',
}


def section(asked: Asked) -> str:
    """A question as HTML, with what the filters need to know of it."""
    truth = f"Truth: <b><bdi>{html.escape(asked.truth)}</bdi></b> · " if asked.truth else ""
    kind = f"{html.escape(asked.kind)} · " if asked.kind else ""
    answers = "".join(_answers(asked))
    return (
        f'<section class="asked" {_data(asked)}><h3 dir="auto">{html.escape(asked.text)}</h3>'
        f'<p>{truth}<span class="note">{kind}<bdi>{html.escape(asked.id)}</bdi></span></p>'
        f"<dl>{answers}</dl></section>\n"
    )


def _data(asked: Asked) -> str:
    """Strategies by their numbers: those that are wrong, failed or flip; how unsure each is."""
    numbered = list(enumerate(asked.replies))
    values = {
        "wrong": [n for n, one in numbered if one.right is False],
        "failed": [n for n, one in numbered if one.failed],
        "flipped": [n for n, one in numbered if asked.flipped(one) is not None],
    }
    parts = [f'data-{name}="{" ".join(map(str, found))}"' for name, found in values.items()]
    shares = ["-" if one.unsureness is None else f"{one.unsureness:.3f}" for _, one in numbered]
    return " ".join([*parts, f'data-unsure="{" ".join(shares)}"'])


def _answers(asked: Asked) -> Iterator[str]:
    for replies in asked.replies:
        said = "\n".join(_said(one, several=len(replies.said) > 1) for one in replies.said)
        yield (
            f"<dt><bdi>{html.escape(replies.strategy)}</bdi></dt>"
            f"<dd>{said}{_flip(asked, replies)}</dd>"
        )


def _said(said: Said, *, several: bool) -> str:
    answer = said.answer
    seed = f'<span class="note">seed {answer.seed}:</span> ' if several else ""
    if answer.error is not None:
        return f'{seed}<span class="bad">! failed</span> <bdi>{html.escape(answer.error)}</bdi>'
    text = answer.text[:_SHOWN]
    cut = len(answer.text) - len(text)
    more = f' <span class="note">and {cut} characters more</span>' if cut else ""
    share = answer.unsureness
    unsure = "" if share is None else f' <span class="sure-of">unsureness {share:.2f}</span>'
    return f'{seed}{_MARKS[said.right]} <bdi dir="auto">{html.escape(text)}</bdi>{more}{unsure}'


def _flip(asked: Asked, replies: Replies) -> str:
    flipped = asked.flipped(replies)
    if flipped is None:
        return ""
    return f' <span class="flip">⇄ flipped to {"right" if flipped else "wrong"}</span>'
