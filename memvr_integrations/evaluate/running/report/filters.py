"""The controls of a page of questions, and what the answers of all pages come to."""

import html
from collections.abc import Sequence

from memvr_integrations.evaluate.running.report.asked import Asked


def filters(asked: Sequence[Asked], *, unsure: float, pages: int) -> str:
    """Controls that show some of a page's questions; they appear where scripts run."""
    names = [replies.strategy for replies in asked[0].replies]
    replies = [one for question in asked for one in question.replies]
    whose = "".join(_option(number, name) for number, name in enumerate(names))
    parts = [
        '<label>Search <input type="search" name="words" autocomplete="off"></label>',
        f'<label>Answers of <select name="whose"><option value="">any</option>{whose}</select>'
        "</label>",
        _box("wrong", "wrong"),
    ]
    if any(one.failed for one in replies):
        parts.append(_box("failed", "failed"))
    if any(one.unsureness is not None for one in replies):
        parts.append(
            f'{_box("unsure", "unsure")}<label>above <input type="range" name="limit" min="0" '
            f'max="1" step="0.01" value="{unsure:.2f}" autocomplete="off"> '
            f'<output id="shown-limit">{unsure:.2f}</output></label>'
        )
    if len(names) > 1:
        flips = "".join(_option(number, name) for number, name in enumerate(names) if number)
        parts.append(
            '<label>Flipped by <select name="flipped"><option value="">-</option>'
            f"{flips}</select></label>"
        )
    kept = " The links to other pages keep what is chosen here." if pages > 1 else ""
    return (
        f'<div class="controls" role="group" aria-label="Which questions to show">'
        f'{"".join(parts)}<span id="count" role="status" aria-live="polite"></span></div>\n'
        f'<p class="note">Unsureness is from 0 to 1, that of an answer\'s least sure word; '
        f"flipped means right where {html.escape(names[0])} is wrong, or wrong where it is right."
        f"{kept}</p>\n<noscript><p>Without scripts, all questions are shown.</p></noscript>\n"
    )


def flips(asked: Sequence[Asked], page: str) -> str:
    """How many answers each strategy flipped, and the way to them, from a page of figures."""
    first, *others = [replies.strategy for replies in asked[0].replies]
    rows = []
    for number, name in enumerate(others, start=1):
        changed = [one.flipped(one.replies[number]) for one in asked]
        shown = f'<a href="{page}#flipped={number}">show</a>'
        rows.append(
            f'<tr><th scope="row"><bdi>{html.escape(name)}</bdi></th>'
            f"<td>{changed.count(True)}</td><td>{changed.count(False)}</td>"
            f"<td>{shown if any(one is not None for one in changed) else ''}</td></tr>"
        )
    if not rows:
        return ""
    return (
        '<div class="wide"><table><caption>Answers flipped, against '
        f"{html.escape(first)}</caption><thead><tr><th></th>"
        '<th scope="col">wrong to right</th><th scope="col">right to wrong</th><th></th></tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table></div>\n"
    )


def _option(number: int, name: str) -> str:
    return f'<option value="{number}">{html.escape(name)}</option>'


def _box(name: str, text: str) -> str:
    return f'<label><input type="checkbox" name="{name}" autocomplete="off"> {text}</label>'
