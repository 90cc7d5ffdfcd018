"""What a page or a notebook shows of a program's output, beside what it prints."""

import ast
import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"\d+\.\d+|\d+")
# Other processors round otherwise, and one answer of sixty may come out otherwise.
_TOLERANCE = 0.03
_PIXELS = 1


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of code on a page; `shown` is the output under it, None where there is none."""

    page: Path
    line: int
    language: str
    marks: frozenset[str]
    code: str
    shown: str | None

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The code of a page, each with the block of text that follows it at once."""
    text = page.read_text(encoding="utf-8")
    fences = list(_FENCE.finditer(text))
    for fence, following in itertools.zip_longest(fences, fences[1:]):
        marks = {word.lstrip(".") for word in fence["info"].strip(" {}").split()}
        language = next(iter(marks & {"python", "sh", "text"}), fence["info"])
        shown = None
        if following and following["info"] == "text":
            between = text[fence.end() : following.start()]
            shown = None if between.strip() else following["body"]
        yield Block(
            page=page,
            line=text.count("\n", 0, fence.start()) + 2,
            language=language,
            marks=frozenset(marks - {language}),
            code=fence["body"],
            shown=shown,
        )


def run(code: str, name: str, line: int, namespace: dict[str, object]) -> object:
    """Run code in a namespace; what its last line is worth, as a notebook shows it, or None."""
    tree = ast.parse("\n" * (line - 1) + code, name)
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr):
        exec(compile(tree, name, "exec"), namespace)
        return None
    tree.body.pop()
    exec(compile(tree, name, "exec"), namespace)
    return eval(compile(ast.Expression(last.value), name, "eval"), namespace)


def differs(shown: str, printed: str) -> str | None:
    """How what is printed differs from what is shown; None where it doesn't.

    A line "..." stands for any lines. Numbers with a point may differ by 0.03, numbers of pixels
    (after "left", "top", "right" and "bottom") by one, and blanks in a row count as one.
    """
    wanted, given = _lines(shown), _lines(printed)
    at, gap = 0, False
    for line in wanted:
        if line == "...":
            gap = True
            continue
        found = next((n for n in range(at, len(given)) if _same(line, given[n])), None)
        if found is None or (found != at and not gap):
            return f"shown: {line!r}\nprinted: {given[at] if at < len(given) else None!r}"
        at, gap = found + 1, False
    return None if gap or at == len(given) else f"printed, and not shown: {given[at]!r}"


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.strip().splitlines()]


def _same(shown: str, printed: str) -> bool:
    if _NUMBER.sub("#", shown) != _NUMBER.sub("#", printed):
        return False
    pairs = zip(_NUMBER.finditer(shown), _NUMBER.finditer(printed), strict=True)
    return all(_near(shown, one, other[0]) for one, other in pairs)


def _near(line: str, one: re.Match[str], other: str) -> bool:
    if "." in one[0]:
        return "." in other and math.isclose(float(one[0]), float(other), abs_tol=_TOLERANCE)
    edge = re.search(r"\b(left|top|right|bottom) $", line[: one.start()])
    return "." not in other and abs(int(one[0]) - int(other)) <= (_PIXELS if edge else 0)
