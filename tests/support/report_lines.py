"""Results of two strategies, and questions with their answers, for the tests of reports."""

from html.parser import HTMLParser

from PIL import Image

from memvr_integrations.evaluate.running.report.asked import Asked, Replies, Said
from memvr_integrations.evaluate.running.report.line import Line
from memvr_integrations.evaluate.running.runs import Answer
from memvr_integrations.evaluate.running.statistics import Estimate

HOSTILE = "</script><script>alert(1)</script><!--&\"'<img src=x onerror=alert(2)>\u2028"
PICTURE = Image.new("RGB", (300, 200), "red")

PLAIN = Line(
    strategy="plain",
    figures={"accuracy": Estimate(80.0, 75.0, 85.0), "yes-ratio": Estimate(50.0, 45.0, 55.0)},
    answered=100,
    length=6.0,
    tokens_per_second=100.0,
)
OTHER = Line(
    strategy="memvr <b>",
    figures={"accuracy": Estimate(84.0, 79.0, 88.0), "yes-ratio": Estimate(60.0, 55.0, 66.0)},
    changes={"accuracy": Estimate(4.0, 1.0, 7.0), "yes-ratio": Estimate(10.0, -1.0, 12.0)},
    p=0.0312,
    other=(7, 99),
    answered=99,
    failed=1,
    length=6.1,
    retraced=0.25,
    tokens_per_second=90.0,
)


def line(strategy: str = "memvr", **changes: tuple[float, float, float]) -> Line:
    """A strategy by its differences; its figures are all the same."""
    named = {name.replace("__", "/"): Estimate(*change) for name, change in changes.items()}
    figures = dict.fromkeys(named, Estimate(50.0, 40.0, 60.0))
    return Line(strategy=strategy, figures=figures, changes=named if strategy != "plain" else {})


def said(
    text: str = "Yes",
    right: bool | None = True,
    *,
    unsureness: float | None = 0.25,
    seed: int = 0,
    error: str | None = None,
) -> Said:
    """An answer, judged."""
    answer = Answer(
        strategy="any", seed=seed, question="any", text=text, error=error, unsureness=unsureness
    )
    return Said(answer=answer, right=right)


def asked(
    name: str = "1",
    *answers: Said | tuple[Said, ...],
    text: str = "Is it?",
    images: tuple[object, ...] = (PICTURE,),
    truth: str = "yes",
    kind: str = "",
) -> Asked:
    """A question with an answer, or several, of each strategy: plain, memvr, another, ..."""
    names = ["plain", "memvr", "another <b>"]
    replies = [
        Replies(strategy=who, said=one if isinstance(one, tuple) else (one,))
        for who, one in zip(names, answers or (said(),), strict=False)
    ]
    return Asked(
        id=name,
        text=text,
        images=images,  # type: ignore[arg-type]
        truth=truth,
        kind=kind,
        replies=tuple(replies),
    )


class Read(HTMLParser):
    """All elements of a page with their attributes, its texts and scripts; it must be whole."""

    _ALONE = ("meta", "input", "img", "wbr", "rect", "line")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.scripts, self.text = "", ""
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self._ALONE:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self._ALONE:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts += data
        elif self.open and self.open[-1] != "style":
            self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of a kind."""
        return [attributes for one, attributes in self.elements if one == tag]

    @property
    def loads(self) -> list[str]:
        """Addresses that lead or load from beyond the folder of the page."""
        addresses = [
            str(attributes[name])
            for _, attributes in self.elements
            for name in ("src", "href", "action", "data", "poster", "srcset", "background")
            if name in attributes
        ]
        return [
            one
            for one in addresses
            if not one.startswith(("data:image/webp;base64,", "questions", "report.html", "#"))
        ]
