import datetime
import json
import random
from decimal import Decimal

import numpy as np
import pytest
from bundled_model.training.model import open_tokenizer
from pydantic import BaseModel, Field, NaiveDatetime

from memvr_integrations.backend.structured.constraint import Grammars
from memvr_integrations.backend.structured.grammar import grammar_of
from memvr_integrations.types import Message, Request
from memvr_integrations.wire.classes import schema_of_class


class Money(BaseModel):
    price: Decimal = Field(max_digits=5, decimal_places=2, gt=0)
    share: Decimal = Field(ge=0, le=1)
    count: Decimal = Field(max_digits=3)


class Times(BaseModel):
    at: NaiveDatetime
    zoned: datetime.datetime


class Keys(BaseModel):
    by_number: dict[int, str]
    by_day: dict[datetime.date, bool]
    by_weight: dict[float, None]


class Sets(BaseModel):
    tags: set[str] = Field(min_length=2)
    days: frozenset[datetime.date]
    flags: set[bool]


@pytest.fixture(scope="module")
def grammars():
    tokenizer = open_tokenizer()
    ends = frozenset([tokenizer.eos_token_id])
    return Grammars(tokenizer, vocabulary=len(tokenizer), ends=ends), tokenizer


@pytest.mark.parametrize("model", [Money, Times, Keys, Sets])
def test_what_fits_the_schema_passes_the_class(grammars, model):
    compiled, tokenizer = grammars
    asked = Request(messages=[Message("user", "Hello")], response_format=schema_of_class(model))
    for seed in range(3):
        constraint, rng, ids = compiled.start(grammar_of(asked), 160), random.Random(seed), []
        while not ids or ids[-1] != tokenizer.eos_token_id:
            ids.append(constraint.take(int(rng.choice(np.nonzero(constraint.allowed())[:, 0]))))
        text = tokenizer.decode(ids, skip_special_tokens=True)
        model.model_validate(json.loads(text))
