"""JSON schemas that nobody thought of, each answered by the model in the box."""

import functools
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal

import hypothesis
import jsonschema
from hypothesis import strategies as st
from outcome import Found

from memvr_integrations.backend import Backend, Message, Request, SamplingParams
from memvr_integrations.errors import RequestError, RequestTimeoutError

Schema = dict[str, object]

HANG = 300.0  # seconds without an end, on a machine that may be busy
DEADLINE = 60.0  # seconds of computing for an answer
_SHOWN = 20  # findings; the rest is counted
_NAMES = st.sampled_from(["a", "b", "name", "größe", "名", "a b", 'q"', "\\", "$ref", "0", ""])
_TEXTS = st.sampled_from(["", "a", "b c", "Küche", "<s>", "\n", '"', "\\", "雪", "🙂", "null"])
_PATTERNS = st.sampled_from(
    ["^a+$", "b", "^[A-Z]{2}[0-9]{3}$", "^(yes|no)$", "[^x]$", r"^\d{1,3}(\.\d+)?$", "^é*$", "^$"]
)
_FORMATS = st.sampled_from(
    ["date", "time", "date-time", "email", "uuid", "ipv4", "ipv6", "hostname", "uri", "odd"]
)
_SMALL = st.integers(0, 4)
_NUMBERS = st.sampled_from([0, 1, -1, 7, 100, 0.5, -2.5, 1e3, 10**12, 1e-3])
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_NAMES, inner, max_size=2),
    max_leaves=4,
)


def _with(kind: str, **parts: st.SearchStrategy[object]) -> st.SearchStrategy[Schema]:
    """A schema of one type, with any of some keywords."""
    return st.fixed_dictionaries({"type": st.just(kind)}, optional=parts)


def _leaves(definitions: list[str]) -> st.SearchStrategy[Schema]:
    refs = st.sampled_from([f"#/$defs/{name}" for name in definitions])
    return st.one_of(
        _with("string", minLength=_SMALL, maxLength=st.integers(0, 9), pattern=_PATTERNS),
        _with("string", format=_FORMATS),
        *(
            _with(
                kind,
                minimum=_NUMBERS,
                maximum=_NUMBERS,
                exclusiveMinimum=_NUMBERS,
                exclusiveMaximum=_NUMBERS,
                multipleOf=st.sampled_from([1, 2, 3, 0.5, 0.1]),
            )
            for kind in ("integer", "number")
        ),
        st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["string", "null"]}, {}]),
        st.builds(lambda value: {"const": value}, _VALUES),
        st.builds(lambda values: {"enum": values}, st.lists(_VALUES, min_size=1, max_size=4)),
        st.builds(lambda ref: {"$ref": ref}, refs),
    )


def _around(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    several = st.lists(inner, min_size=1, max_size=3)
    either = inner | st.booleans()
    return st.one_of(
        _with(
            "object",
            properties=st.dictionaries(_NAMES, inner, max_size=4),
            required=st.lists(_NAMES, max_size=3, unique=True),
            additionalProperties=either,
            patternProperties=st.dictionaries(_PATTERNS, inner, max_size=1),
            minProperties=_SMALL,
            maxProperties=_SMALL,
        ),
        _with(
            "array",
            items=either,
            prefixItems=several,
            minItems=_SMALL,
            maxItems=_SMALL,
            uniqueItems=st.booleans(),
        ),
        *(
            st.builds(lambda parts, key=key: {key: parts}, several)
            for key in ("anyOf", "oneOf", "allOf")
        ),
        st.builds(lambda one, other: {**one, **other}, inner, inner),
    )


def _around_odd(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    """The same with keywords that are mostly refused."""
    return st.one_of(
        _around(inner),
        _with(
            "object",
            additionalProperties=inner,
            propertyNames=st.fixed_dictionaries({"pattern": _PATTERNS}),
            dependentRequired=st.dictionaries(_NAMES, st.lists(_NAMES, unique=True), max_size=1),
        ),
        _with("array", contains=inner),
        st.builds(lambda one, other: {**one, "not": other}, inner, inner),
        st.builds(lambda one, other: {"if": one, "then": other}, inner, inner),
    )


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """Any schema: nested, recursive, contradictory, empty; valid by its own standard."""
    names, odd = ["A", "B"], draw(st.integers(0, 9)) == 9
    parts = st.recursive(_leaves(names), _around_odd if odd else _around, max_leaves=10)
    made = dict(draw(parts))
    if "$ref" in json.dumps(made):
        made["$defs"] = {name: draw(parts) for name in names}
    return made


class Asked:
    """Schemas put to a backend, and what came of them."""

    def __init__(self, backend: Backend, *, seeds: int, tokens: int) -> None:
        self._backend, self._seeds, self._tokens = backend, seeds, tokens
        self.outcomes = Counter[str]()
        self.reasons = Counter[str]()
        self.wrong: list[str] = []
        self.slowest = 0.0

    def ask(self, schema: Schema) -> None:
        """Ask for an answer that fits a schema, by several seeds."""
        self.outcomes["schemas"] += 1
        for seed in range(self._seeds):
            begun = time.process_time()
            outcome, why = self._outcome(schema, seed)
            seconds = time.process_time() - begun
            self.slowest = max(self.slowest, seconds)
            if seconds > DEADLINE:
                outcome, why = "wrong", f"it took {seconds:.0f} s of computing"
            self.outcomes[outcome] += 1
            if outcome == "wrong":
                shown = json.dumps(schema, ensure_ascii=False)
                self.wrong.append(f"{shown[:600]}, seed {seed}: {why}")
            if outcome == "refused":
                said = why.rpartition("while decoding: ")[2] or why
                self.reasons[re.sub(r"[(.;{].*", "", said)[:60]] += 1
                return

    def _outcome(self, schema: Schema, seed: int) -> tuple[str, str]:
        request = Request(
            messages=[Message("user", ["Say something."])],
            response_format=schema,
            sampling=SamplingParams(temperature=1.5, seed=seed, max_tokens=self._tokens),
            timeout=HANG,
        )
        try:
            [done] = self._backend.generate(request)
        except RequestTimeoutError:
            return "wrong", f"no end within {HANG:.0f} s"
        except RequestError as error:
            named = "schema" in str(error).lower()
            return ("refused" if named else "wrong"), str(error)
        except Exception as error:
            return "wrong", f"{type(error).__name__} instead of a RequestError: {error}"
        if done.finish_reason != "stop":
            return "wrong", f"it ended by {done.finish_reason!r}: {done.text[:200]}"
        return valid(done.text, schema)


# Fractions are kept in decimal: by binary floats 0.3 is no multiple of 0.1.
_read = functools.partial(json.loads, parse_float=Decimal)
_Standard = jsonschema.Draft202012Validator
_Validator = jsonschema.validators.extend(
    _Standard, type_checker=_Standard.TYPE_CHECKER.redefine("integer", lambda _, one: _whole(one))
)


def _whole(value: object) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool) and value % 1 == 0


def valid(text: str, schema: Schema) -> tuple[str, str]:
    """Whether a text is JSON that fits a schema, each key once."""
    try:
        value = _read(text, object_pairs_hook=_once, parse_constant=_refuse)
        written = json.dumps(schema)
        formats = _Standard.FORMAT_CHECKER
        _Validator(_read(written), format_checker=formats).validate(value)
    except RecursionError:  # a schema that refers to itself around nothing has no meaning
        return "undecided", ""
    except (ValueError, jsonschema.ValidationError) as error:
        said = error.message if isinstance(error, jsonschema.ValidationError) else repr(error)
        return "wrong", f"{text[:200]} is not valid: {said[:200]}"
    return "valid", ""


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON")


def soak(*, count: int = 500, seeds: int = 3, seed: int = 0, tokens: int = 160) -> Found:
    """Schemas at random, several answers each: valid, or refused before a token is written."""
    with Backend.load("bundled", device="cpu", progress=False) as backend:
        asked = Asked(backend, seeds=seeds, tokens=tokens)
        put(asked.ask, count, seed)
    wrong = asked.wrong
    if len(wrong) > _SHOWN:
        wrong = [*wrong[:_SHOWN], f"and {len(wrong) - _SHOWN} more"]
    reasons = "; ".join(f"{count} x {why}" for why, count in asked.reasons.most_common(5))
    return Found(
        figures={
            "schemas": asked.outcomes["schemas"],
            "answers, all valid": asked.outcomes["valid"],
            "answers that the validator can't judge (a schema that is itself)": asked.outcomes[
                "undecided"
            ],
            "schemas refused before decoding, with the part that can't be kept": asked.outcomes[
                "refused"
            ],
            "why, the most frequent": reasons or "-",
            "anything else (invalid, cut, another error, a hang)": asked.outcomes["wrong"],
            "slowest answer, s of computing": round(asked.slowest, 1),
        },
        wrong=tuple(wrong),
    )


def put(ask: Callable[[Schema], None], count: int, seed: int) -> None:
    """Put so many schemas to `ask`, the same ones for the same seed."""
    settings = hypothesis.settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )

    @hypothesis.seed(seed)
    @settings
    @hypothesis.given(schemas())
    def each(schema: Schema) -> None:
        ask(schema)

    each()
