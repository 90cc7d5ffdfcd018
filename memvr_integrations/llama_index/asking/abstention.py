"""Answers about images that are withheld when the model was too unsure of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import RESPONSE_TYPE, Response
from llama_index.core.prompts.mixin import PromptMixinType
from llama_index.core.schema import NodeWithScore, QueryBundle

from memvr_integrations.checks import check_kind
from memvr_integrations.errors import AbstentionError, ConfigError, RequestError
from memvr_integrations.grounding.abstaining import CANNOT_TELL, Abstaining, Action, known_threshold
from memvr_integrations.grounding.citing import lines
from memvr_integrations.llama_index.asking.synthesizer import ImageSynthesizer
from memvr_integrations.llama_index.llm.checks import knows_its_options
from memvr_integrations.memvr.config import MemVRConfig


class AbstainWhenUnsure(BaseQueryEngine):
    """Asks a query engine, and withholds what the model was too unsure of.

    The options are those of `ChatMemVR.with_abstention`. How unsure the model was is the
    `unsureness` of each record in `response.metadata["memvr"]`, 0 to 1; each of them then says in
    `abstained`, `withheld` and `threshold` what was withheld and why. An answer above `threshold`
    (the one that was measured on the model, where none is given) is left out. Where no answer is
    left, `answer` takes their place, or an `AbstentionError` is raised with `action="raise"`;
    `action="retry"` asks about the unsure ones once more under `stronger` retracing before that.
    The metadata's `withheld` holds all that was left out, and `abstained` says whether nothing was
    left.
    """

    @knows_its_options
    def __init__(
        self,
        query_engine: BaseQueryEngine,
        *,
        threshold: float | None = None,
        action: Action = "answer",
        answer: str = CANNOT_TELL,
        stronger: MemVRConfig | None = None,
    ) -> None:
        """`query_engine` is one of `ImageCollectionIndex.as_query_engine`, without streaming.

        Raises:
            ConfigError: There is no threshold, an option is outside its limits, it is no query
                engine, or it can't be asked again under other settings (`action="retry"`).
        """
        check_kind("query_engine", query_engine, BaseQueryEngine, "index.as_query_engine()")
        asked = getattr(query_engine, "_response_synthesizer", None)  # core has no public name
        self._synthesizer = asked if isinstance(asked, ImageSynthesizer) else None
        if action == "retry" and self._synthesizer is None:
            raise ConfigError(
                f"action='retry' can't ask a {type(query_engine).__name__} under other settings; "
                "give index.as_query_engine(), or action='answer'."
            )
        model = self._synthesizer.model if self._synthesizer else type(query_engine).__name__
        measured = self._synthesizer.abstention if self._synthesizer else None
        self._rule = Abstaining(
            threshold=known_threshold(model, given=threshold, measured=measured),
            action=action,
            answer=answer,
            stronger=stronger,
        )
        self._query_engine = query_engine
        super().__init__(callback_manager=query_engine.callback_manager)

    def _get_prompt_modules(self) -> PromptMixinType:
        return {"query_engine": self._query_engine}

    def _query(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        found = _Answers.of(self._query_engine.query(query_bundle))
        if again := self._again(found):
            synthesizer, places = again
            second = synthesizer.synthesize(query_bundle, found.nodes(places))
            found = found.replaced(places, second)
        return self._judged(found)

    async def _aquery(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        found = _Answers.of(await self._query_engine.aquery(query_bundle))
        if again := self._again(found):
            synthesizer, places = again
            second = await synthesizer.asynthesize(query_bundle, found.nodes(places))
            found = found.replaced(places, second)
        return self._judged(found)

    def _again(self, found: "_Answers") -> tuple[ImageSynthesizer, list[int]] | None:
        """Who asks once more, and about which answers; None where nothing is asked again."""
        tries = [(place, self._rule.second_try(one)) for place, one in enumerate(found.records)]
        again = [(place, config) for place, config in tries if config]
        if not again or self._synthesizer is None:
            return None
        config = again[0][1]  # all were asked under the same settings
        return self._synthesizer.under(config), [place for place, _ in again]

    def _judged(self, found: "_Answers") -> Response:
        answers = list(zip(found.texts, found.records, strict=True))
        records = [one | self._rule.verdict(one["unsureness"], text) for text, one in answers]
        numbered = zip(found.texts, records, strict=True)
        kept = [(n, text) for n, (text, one) in enumerate(numbered, 1) if not one["abstained"]]
        withheld = [one["withheld"] for one in records if one["abstained"]]
        abstained = bool(withheld) and not kept
        if abstained and self._rule.action == "raise":
            least = min(one["unsureness"] for one in records)
            raise AbstentionError("\n".join(withheld), least, self._rule.threshold, found.response)
        text = lines(kept) if len(records) > 1 else found.response.response
        metadata = (found.response.metadata or {}) | {
            "answers": found.texts,
            "memvr": records,
            "threshold": self._rule.threshold,
            "abstained": abstained,
            "withheld": withheld,
        }
        return Response(
            self._rule.answer if abstained else text,
            source_nodes=found.response.source_nodes,
            metadata=metadata,
        )


@dataclass(frozen=True, kw_only=True)
class _Answers:
    """A response, and the text and the record of each time that the model was asked."""

    response: Response
    texts: list[str]
    records: list[dict[str, Any]]

    @classmethod
    def of(cls, response: RESPONSE_TYPE) -> Self:
        if not isinstance(response, Response):
            raise RequestError(
                f"AbstainWhenUnsure got a {type(response).__name__}: what was given out can't be "
                "withheld. Give it a query engine without streaming."
            )
        metadata = response.metadata or {}
        records = metadata.get("memvr") or []
        if not response.source_nodes:  # nothing was found, and nothing was answered
            return cls(response=response, texts=[], records=[])
        if not records or None in records:
            raise RequestError(
                "The query engine's answer doesn't say how unsure the model was "
                '(metadata["memvr"]); give one of ImageCollectionIndex.as_query_engine.'
            )
        return cls(response=response, texts=metadata["answers"], records=records)

    def nodes(self, places: Sequence[int]) -> list[NodeWithScore]:
        """The images of some answers; where there is one answer, it is about all of them."""
        nodes = self.response.source_nodes
        return nodes if len(self.texts) == 1 else [nodes[place] for place in places]

    def replaced(self, places: Sequence[int], response: RESPONSE_TYPE) -> "_Answers":
        """The same with a response's answers in some places."""
        second = _Answers.of(response)
        if len(self.texts) == 1:
            return second
        texts, records = list(self.texts), list(self.records)
        for at, place in enumerate(places):
            texts[place], records[place] = second.texts[at], second.records[at]
        return replace(self, texts=texts, records=records)
