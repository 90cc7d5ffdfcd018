"""What requests and sampling parameters refuse, and what they make of what they take."""

import dataclasses

import pytest

from memvr_integrations.errors import ConfigError, RequestError
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types import (
    Completion,
    Image,
    Message,
    Request,
    SamplingParams,
    Text,
    TokenRecord,
    Usage,
)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_tokens", 0),
        ("max_tokens", 2.5),
        ("max_tokens", True),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", "1"),
        ("top_p", 0),
        ("top_p", 1.01),
        ("top_k", -1),
        ("min_p", -0.5),
        ("min_p", 1.5),
        ("repetition_penalty", 0),
        ("seed", -1),
        ("seed", 1.0),
        ("n", 0),
        ("n", 65),
        ("stop", ("",)),
        ("stop", (1,)),
        ("presence_penalty", 2.1),
        ("presence_penalty", True),
        ("frequency_penalty", -2.1),
        ("frequency_penalty", float("nan")),
        ("top_logprobs", -1),
        ("top_logprobs", 21),
        ("top_logprobs", True),
        ("min_tokens", -1),
        ("min_tokens", 1.0),
        ("stop_token_ids", 2),
        ("stop_token_ids", "2 3"),
        ("stop_token_ids", [-1]),
        ("stop_token_ids", [2.0]),
        ("stop_token_ids", None),
        ("logit_bias", [1]),
        ("logit_bias", {-1: 1}),
        ("logit_bias", {"dog": 1}),
        ("logit_bias", {"9" * 5000: 1}),
        ("logit_bias", {1.5: 1}),
        ("logit_bias", {5: 101}),
        ("logit_bias", {5: float("nan")}),
        ("logit_bias", {5: None}),
    ],
)
def test_sampling_refuses_what_is_outside_and_names_it(field, value):
    with pytest.raises(ConfigError, match=field):
        SamplingParams(**{field: value})


def test_sampling_takes_the_limits():
    params = SamplingParams(top_p=1, min_p=1, seed=2**63 - 1, n=64, temperature=0, top_k=0)
    assert params.greedy
    assert not SamplingParams(temperature=1).greedy


def test_limits_are_said_with_the_next_step():
    with pytest.raises(ConfigError, match=r"min_tokens=9 is above max_tokens=5; lower it, or rai"):
        SamplingParams(min_tokens=9, max_tokens=5)
    with pytest.raises(ConfigError, match=r"logit_bias\[5\]=-101 .* from -100 to 100"):
        SamplingParams(logit_bias={5: -101})
    with pytest.raises(ConfigError, match=r"such as \{42: -100\}"):
        SamplingParams(logit_bias="5")
    with pytest.raises(ConfigError, match=r"top_logprobs=21 must be an integer from 0 to 20"):
        SamplingParams(top_logprobs=21)


def test_a_bias_is_copied_and_may_have_the_keys_of_json():
    given = {"5": 3, 7: -1.5}
    params = SamplingParams(logit_bias=given, min_tokens=5, max_tokens=5)
    given["9"] = 1
    assert params.logit_bias == {5: 3.0, 7: -1.5}
    assert dataclasses.replace(params, n=2).logit_bias == params.logit_bias
    assert hash(params) == hash(SamplingParams(min_tokens=5, max_tokens=5))
    assert SamplingParams(stop_token_ids=[3, 4]).stop_token_ids == (3, 4)


def test_stop_may_be_one_string_or_a_list():
    assert SamplingParams(stop="end").stop == ("end",)
    assert SamplingParams(stop=["a", "b"]).stop == ("a", "b")


def test_a_message_wraps_strings_and_single_parts():
    picture = Image(b"x")
    assert Message("user", "hi").content == (Text("hi"),)
    assert Message("user", ["look", picture]).content == (Text("look"), picture)
    assert Message("user", picture).content == (picture,)
    assert Message("user", Text("hi")).content == (Text("hi"),)


def test_a_message_refuses_other_roles_and_parts():
    with pytest.raises(RequestError, match=r"'critic'.*system, user, assistant"):
        Message("critic", "hi")
    with pytest.raises(RequestError, match="holds a bytes"):
        Message("user", [b"png"])


def test_what_is_no_text_is_refused():
    with pytest.raises(RequestError, match="Text holds None, a NoneType"):
        Request.ask(None, b"png")


def test_a_message_can_be_replaced():
    assert dataclasses.replace(Message("user", "hi"), role="system") == Message("system", "hi")


def test_a_request_refuses_what_no_model_could_answer():
    message = Message("user", "hi")
    with pytest.raises(RequestError, match="at least one"):
        Request(messages=())
    with pytest.raises(RequestError, match="holds a dict"):
        Request(messages=({"role": "user", "content": "hi"},))
    with pytest.raises(ConfigError, match="MemVRConfig"):
        Request(messages=(message,), memvr="yes")
    for timeout in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match="timeout"):
            Request(messages=(message,), timeout=timeout)


def test_a_request_takes_one_message_and_lists():
    message = Message("user", "hi")
    assert Request(messages=message).messages == (message,)
    assert Request(messages=[message, message]).messages == (message, message)


def test_ask_puts_images_before_the_question_and_images_keep_their_order():
    request = Request.ask("which?", b"1", b"2", memvr=MemVRConfig(), timeout=3)
    assert [image.source for image in request.images] == [b"1", b"2"]
    assert request.messages[0].content[-1] == Text("which?")
    assert (request.timeout, request.memvr) == (3, MemVRConfig())


def test_total_tokens():
    assert Usage(prompt_tokens=70, image_tokens=64, completion_tokens=5).total_tokens == 75


def test_unsureness_looks_at_what_is_said():
    def unsureness(*tokens):
        records = tuple(
            TokenRecord(id=0, text=text, logprob=0.0, output_entropy=entropy)
            for text, entropy in tokens
        )
        usage = Usage(prompt_tokens=1, image_tokens=0, completion_tokens=len(records))
        return Completion(
            text="", finish_reason="stop", usage=usage, tokens=records, model="", memvr=None
        ).unsureness

    assert unsureness(("Yes", 0.1), (",", 0.9), (" cow", 0.4), ("", 0.8)) == 0.4
    assert unsureness((".", 0.9)) == 0
