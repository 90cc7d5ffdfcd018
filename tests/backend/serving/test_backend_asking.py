"""The backend as its callers see it: four ways to ask, and what comes in."""

import asyncio
from pathlib import Path

import pytest
import torch
from bundled_settings import ALWAYS
from waiting import held_at

from memvr_integrations.backend import Backend, Engine, Image, Message, Request
from memvr_integrations.errors import ImageError, MemVRWarning, RequestError

# -- four ways to ask


async def drain(chunks):
    return [chunk async for chunk in chunks]


@pytest.mark.parametrize("options", [{}, {"memvr": None}, {"temperature": 1.0, "seed": 3}])
async def test_all_ways_give_one_answer(backend, ask, options):
    request = ask("Describe the picture.", 0, max_tokens=12, **options)
    ways = {
        "generate": (await asyncio.to_thread(backend.generate, [request]))[0],
        "stream": (await asyncio.to_thread(lambda: list(backend.stream(request))))[-1].completion,
        "agenerate": (await backend.agenerate([request]))[0],
        "astream": (await drain(backend.astream(request)))[-1].completion,
    }
    first = ways["generate"]
    assert all(answer == first for answer in ways.values())
    assert first.text
    assert "ASSISTANT" not in first.text
    assert "Describe" not in first.text


async def test_an_answer_without_a_word_is_warned_of(make_backend, ask, scripted):
    backend, request = make_backend(), ask("What is it?", 0)
    with scripted(backend, []):
        with pytest.warns(MemVRWarning, match="empty answer: 1 token.*'stop'. Ask in other words"):
            [done] = backend.generate(request)
        assert (done.text, done.finish_reason) == ("", "stop")
        with pytest.warns(MemVRWarning, match="empty answer"):
            assert list(backend.stream(request))[-1].completion == done
        with pytest.warns(MemVRWarning, match="empty answer"):
            assert await backend.agenerate(request) == [done]
        with pytest.warns(MemVRWarning, match="empty answer"):
            assert (await drain(backend.astream(request)))[-1].completion == done
        # Neither a stop string nor a given answer says anything of the model.
        backend.generate(ask("What is it?", 0, stop=("a",)))
        backend.score(request, ["Yes", "No"])
    pad = backend._host.pad
    with (
        scripted(backend, [pad] * 6),
        pytest.warns(MemVRWarning, match="6 token.*'length'"),
    ):
        backend.generate(ask("What is it?", 0, max_tokens=6))


def test_what_is_no_request_is_refused(backend):
    with pytest.raises(RequestError, match=r"'Is there a dog\?' is a str; give a Request"):
        backend.generate("Is there a dog?")


@pytest.mark.parametrize("question", ["", "   \n"])
def test_an_empty_question_is_refused(backend, ask, question):
    with pytest.raises(RequestError, match=r"question is empty: .* Say what to answer"):
        backend.generate(ask(question, 0))
    instructed = Message("system", "Describe it."), Message("user", ask("", 0).images[0])
    assert backend.generate(Request(messages=instructed))[0].text


def test_the_chunks_of_a_stream_are_the_completion(backend, ask):
    chunks = list(backend.stream(ask("Describe the picture.", 0, 1, max_tokens=15)))
    completion = chunks[-1].completion
    assert [chunk.completion for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert len(chunks) > 1
    assert "".join(chunk.text for chunk in chunks) == completion.text
    assert tuple(token for chunk in chunks for token in chunk.tokens) == completion.tokens
    assert "".join(token.text for token in completion.tokens) == completion.text
    assert len(completion.tokens) == completion.usage.completion_tokens


def test_a_stream_gives_tokens_while_the_rest_is_computed(make_backend, ask, endless):
    backend = make_backend()
    with endless(backend) as passes:
        go_on = held_at(passes, 3)
        stream = backend.stream(ask(max_tokens=12))
        assert next(stream).tokens
        assert passes.forwards <= 3
        go_on.set()
        assert list(stream)[-1].completion
        assert passes.forwards == 12


def test_one_request_may_stand_alone(backend, ask):
    assert len(backend.generate(ask(max_tokens=1))) == 1
    assert backend.generate([]) == []
    assert asyncio.run(backend.agenerate([])) == []
    assert len(asyncio.run(backend.agenerate(ask(max_tokens=1)))) == 1


def test_a_backend_is_an_engine(backend):
    engine: Engine = backend
    assert (engine.name, backend.calibrated) == ("bundled", True)
    assert backend.preset.ending_layer <= 12


def test_alternatives(backend, ask):
    request = ask("Describe the picture.", 0, n=3, temperature=1.5, seed=11, max_tokens=8)
    [first], [again] = backend.generate(request), backend.generate(request)
    assert first == again
    answers = [first, *first.alternatives]
    assert len({answer.text for answer in answers}) > 1
    assert all(not answer.alternatives for answer in answers[1:])
    alone = ask("Describe the picture.", 0, temperature=1.5, seed=12, max_tokens=8)
    assert backend.generate(alone)[0].text == first.alternatives[0].text
    by_index = {c.index: c.completion for c in backend.stream(request) if c.completion}
    assert [by_index[index].text for index in range(3)] == [answer.text for answer in answers]


def test_unseeded_sampling_differs(backend, ask):
    request = ask("Describe the picture.", 0, n=4, temperature=3.0, max_tokens=10)
    [first] = backend.generate(request)
    assert len({first.text, *(other.text for other in first.alternatives)}) > 1


# -- what comes in


def test_a_bad_image_raises_before_anything_is_queued(make_backend, ask):
    backend = make_backend()
    bad = Request.ask("What?", b"no image at all")
    for way in (backend.generate, lambda r: list(backend.stream(r))):
        with pytest.raises(ImageError, match="15 bytes looks like text"):
            way(bad)
    with pytest.raises(ImageError):
        asyncio.run(backend.agenerate([bad]))
    with pytest.raises(ImageError):
        backend.generate([ask(), bad])
    assert backend.steps == 0


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("a!", "not valid base64"),
        (b"BM cut off", "begins as BMP"),
        (b"GIF8", "begins as GIF"),
        (torch.zeros(1, 999).numpy(), "max_aspect"),
        ("https://img.example.org/a.png", "allowed_hosts"),
        (Path("nowhere.png"), "No such file"),
    ],
)
def test_the_error_of_a_picture_says_which_one_it_is(backend, scene_file, source, match):
    good, bad = Image(scene_file), Image(source)
    chat = [
        Message("system", "Be brief."),
        Message("user", [good, "One?", good]),
        Message("assistant", "Yes."),
        Message("tool", ["Here:", good, bad, bad]),
    ]
    place = r"^message 4 \(tool\), picture 2: .*"
    with pytest.raises(ImageError, match=place + match):
        backend.count(Request(messages=chat))
    with pytest.raises(ImageError, match=r"^message 1 \(user\), picture 1: .*" + match):
        list(backend.stream(Request(messages=Message("user", bad))))


async def test_a_bad_request_does_not_harm_its_neighbours(backend, ask):
    requests = [ask("One?", 0, max_tokens=4), Request.ask("?", b"bad"), ask("Two?", max_tokens=4)]
    results = await asyncio.gather(
        *(backend.agenerate(request) for request in requests), return_exceptions=True
    )
    assert isinstance(results[1], ImageError)
    assert [len(results[i][0].tokens) > 0 for i in (0, 2)] == [True, True]


def test_a_photograph_gets_a_hint_and_an_answer(backend):
    noise = torch.rand(480, 640, 3, generator=torch.Generator().manual_seed(0)).numpy()
    with pytest.warns(MemVRWarning, match="smolvlm-256m"):
        [answer] = backend.generate(Request.ask("What is this?", noise))
    assert answer.usage.image_tokens == 64


def test_drawn_scenes_get_no_hint(backend, ask):
    backend.generate([ask("What?", number, max_tokens=1) for number in range(6)])


def test_a_message_is_never_a_path(backend, scene_file):
    with pytest.raises(ImageError, match="never as a path"):
        backend.generate(Request.ask("What?", str(scene_file)))
    answer = backend.generate(Request.ask("What?", Path(scene_file)))[0]
    assert answer.usage.image_tokens == 64
    assert isinstance(Message("user", [Image(scene_file)]).content[0], Image)


# -- on a GPU


@pytest.mark.gpu
def test_a_gpu_answers_as_the_cpu_does(backend, ask):
    requests = [ask("Describe the picture.", 0, memvr=ALWAYS), ask("Hello.", 1, 2, memvr=ALWAYS)]
    with Backend.load("bundled", device="cuda", dtype="float32", progress=False) as there:
        pairs = list(zip(there.generate(requests), backend.generate(requests), strict=True))
    for far, near in pairs:
        assert [token.id for token in far.tokens] == [token.id for token in near.tokens]
        assert [t.trigger_layer for t in far.tokens] == [t.trigger_layer for t in near.tokens]


@pytest.mark.gpu
def test_half_precision_on_a_gpu_retraces(ask):
    with Backend.load("bundled", device="cuda", dtype="bfloat16", progress=False) as there:
        [done] = there.generate(ask("Describe the picture.", 0, memvr=ALWAYS))
    assert done.retraced == len(done.tokens)
    assert all(0 <= token.entropy <= 1 for token in done.tokens)
