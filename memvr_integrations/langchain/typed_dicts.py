"""JSON schemas of TypedDicts, in all the ways in which LangChain's users write them."""

import functools
import operator
from collections.abc import Callable, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin

from pydantic import Field, TypeAdapter
from pydantic.errors import PydanticUserError
from typing_extensions import (
    ReadOnly,
    TypedDict,
    get_type_hints,
    is_typeddict,
)

from memvr_integrations.errors import RequestError
from memvr_integrations.types.tools import JsonSchema
from memvr_integrations.wire.classes import WholeSchema

_MARKS = (Required, NotRequired, ReadOnly)


def schema_of_typed_dict(form: type) -> JsonSchema:
    """The schema of a TypedDict with all that is nested in it.

    A key's `Annotated[type, default, "description"]` is read as LangChain has it: `...` stands for
    no default.
    """
    try:
        return TypeAdapter(_remade(form, ())).json_schema(schema_generator=WholeSchema)
    except (PydanticUserError, NameError, TypeError) as error:
        raise RequestError(
            f"The TypedDict {form.__name__!r} has no JSON schema ({error}); use types that JSON "
            "can hold, or a pydantic class."
        ) from error


def _remade(form: Any, around: tuple[object, ...]) -> type:
    """The same class, made by typing_extensions: pydantic reads no other on this Python."""
    if form in around:
        raise RequestError(
            f"The TypedDict {form.__name__!r} contains itself; write it as a pydantic class."
        )
    hints = get_type_hints(form, include_extras=True)
    around = (*around, form)
    fields = {
        name: _marked(_hint(hint, around), hint, optional=name in form.__optional_keys__)
        for name, hint in hints.items()
    }
    make: Callable[[str, Mapping[str, object]], type] = TypedDict  # type: ignore[assignment]
    same = make(form.__name__, fields)
    same.__doc__ = form.__doc__
    return same


def _marked(hint: Any, before: Any, *, optional: bool) -> object:
    """Whether a key may be left out; one with a default may."""
    _, default, _ = _annotated(_unmarked(before))
    marked: object = NotRequired[hint] if optional or default is not ... else Required[hint]
    return marked


def _unmarked(hint: Any) -> Any:
    while get_origin(hint) in _MARKS:
        [hint] = get_args(hint)
    return hint


def _annotated(hint: Any) -> tuple[Any, object, str | None]:
    """A type, its default (`...` for none) and its description, of LangChain's way to say them."""
    if get_origin(hint) is not Annotated:
        return hint, ..., None
    bare, *notes = get_args(hint)
    text = notes[1] if len(notes) > 1 else None
    if not isinstance(text, str):  # pydantic's own Annotated[type, Field(...)], kept as it is
        return hint, ..., None
    return bare, notes[0], text


def _hint(hint: Any, around: tuple[object, ...]) -> Any:
    bare, default, text = _annotated(_unmarked(hint))
    if text is not None:
        said = Field(description=text) if default is ... else Field(default, description=text)
        return Annotated[_hint(bare, around), said]
    if is_typeddict(bare):
        return _remade(bare, around)
    origin, inner = get_origin(bare), get_args(bare)
    if origin is None or origin is Literal:
        return bare
    if origin is Annotated:
        return Annotated[(_hint(inner[0], around), *inner[1:])]
    made = tuple(_hint(one, around) if not isinstance(one, list) else one for one in inner)
    if origin in (Union, UnionType):
        return functools.reduce(operator.or_, made)
    return origin[made]
