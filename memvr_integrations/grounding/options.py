"""The options of a model whose answers are checked, wherever they are asked for."""

from collections.abc import AsyncGenerator, Generator, Mapping
from typing import Any

from pydantic import InstanceOf, StrictBool, field_serializer, field_validator

from memvr_integrations.grounding import withholding
from memvr_integrations.grounding.abstaining import Abstaining, KnownRule, read_abstaining
from memvr_integrations.types import Chunk, Completion, Request
from memvr_integrations.wire.options import ModelOptions


class CheckedOptions(ModelOptions):
    """A pydantic mixin: `ModelOptions`, and what becomes of answers before anybody gets them.

    Agents, graphs, chat engines, streams, batches and tools all ask through these four.
    """

    abstain: InstanceOf[Abstaining] | dict[str, Any] | StrictBool | float | None = None

    @field_validator("abstain", mode="before")
    @classmethod
    def _read_abstain(cls, value: object) -> object:
        return read_abstaining(value)

    @field_serializer("abstain")
    def _abstain_as_data(self, value: object) -> object:
        return value.to_dict() if isinstance(value, Abstaining) else value

    def _check_call(self, options: Mapping[str, Any], *also: str) -> None:
        super()._check_call(options, "abstain", *also)
        read_abstaining(options.get("abstain"))

    def _answer(self, request: Request, options: Mapping[str, Any]) -> Completion:
        rule = self._rule(options)
        done = super()._answer(request, options)
        if rule is None:
            return done
        ask = super()._answer
        return withholding.given(rule, request, done, lambda other: ask(other, options))

    async def _aanswer(self, request: Request, options: Mapping[str, Any]) -> Completion:
        rule = self._rule(options)
        done = await super()._aanswer(request, options)
        if rule is None:
            return done
        ask = super()._aanswer
        return await withholding.agiven(rule, request, done, lambda other: ask(other, options))

    def _chunks(self, request: Request, options: Mapping[str, Any]) -> Generator[Chunk, None, None]:
        rule = self._rule(options)
        chunks = super()._chunks(request, options)
        if rule is None:
            return chunks
        ask = super()._answer
        return withholding.held(rule, request, chunks, lambda other: ask(other, options))

    async def _achunks(
        self, request: Request, options: Mapping[str, Any]
    ) -> AsyncGenerator[Chunk, None]:
        rule = self._rule(options)
        chunks = await super()._achunks(request, options)
        if rule is None:
            return chunks
        ask = super()._aanswer
        return withholding.aheld(rule, request, chunks, lambda other: ask(other, options))

    def _rule(self, options: Mapping[str, Any]) -> KnownRule | None:
        """The rule of a call, with the threshold of the model that answers it."""
        rule = read_abstaining(self._option(options, "abstain"))
        if rule is None:
            return None
        return rule.known(self._answering(options), self._abstention(options))
