import json

from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types import Completion, TokenRecord, TopToken, Usage
from memvr_integrations.wire.report import logprobs, record

TOKENS = (
    TokenRecord(
        id=1,
        text="Ein",
        logprob=-0.5,
        entropy=0.8,
        trigger_layer=6,
        output_entropy=0.2,
        top=(TopToken(id=1, text="Ein", logprob=-0.5), TopToken(id=9, text="é", logprob=-1.5)),
    ),
    TokenRecord(id=2, text=" Käse", logprob=-1.0, entropy=0.6, trigger_layer=6, output_entropy=0.4),
    TokenRecord(id=3, text=".", logprob=-0.1, output_entropy=0.9),
)


def done(tokens, memvr=None):
    usage = Usage(prompt_tokens=70, image_tokens=64, completion_tokens=len(tokens))
    return Completion(
        text="", finish_reason="stop", usage=usage, tokens=tokens, model="m", memvr=memvr
    )


def test_what_happened_is_counted():
    config = MemVRConfig()
    found = record(done(TOKENS, config))
    assert json.loads(json.dumps(found)) == found
    assert found.pop("config")["retracing_ratio"] == config.retracing_ratio
    assert found == {
        "decoding": None,
        "retraced_tokens": 2,
        "layers": {"6": 2},
        "image_tokens": 64,
        "unsureness": 0.4,
        "boxes": [],
        "mean_entropy": 0.7,
        "max_entropy": 0.8,
        "mean_output_entropy": 0.5,
        "max_output_entropy": 0.9,
    }


def test_nothing_happened_and_the_keys_are_the_same():
    found = record(done(()))
    assert found.keys() == record(done(TOKENS)).keys()
    assert found["config"] is found["max_entropy"] is None
    assert found["retraced_tokens"] == found["unsureness"] == 0


def test_tokens_have_openais_shape():
    [first, second, third] = logprobs(TOKENS)
    assert first["token"] == "Ein"
    assert bytes(second["bytes"]).decode() == " Käse"
    assert second["top_logprobs"] == []
    assert first["top_logprobs"] == [
        {"token": "Ein", "logprob": -0.5, "bytes": [69, 105, 110]},
        {"token": "é", "logprob": -1.5, "bytes": [195, 169]},
    ]
    assert (third["logprob"], third["trigger_layer"], third["output_entropy"]) == (-0.1, None, 0.9)
