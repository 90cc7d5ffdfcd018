"""Answering what lmms-eval asks: order, batches, sampling, controls, rounds and choices."""

import pytest
from PIL import Image as Pillow
from scripted_engine import ScriptedEngine, text_of

from memvr_integrations.errors import ConfigError, ImageError, MemVRWarning, RequestError
from memvr_integrations.evaluate.harnesses.lmms_eval_asking import (
    Asked,
    Asking,
    LmmsEvalOptions,
    Round,
    read_sampling,
)
from memvr_integrations.evaluate.running.asking import Strategy
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types import Image, Message

PLAIN = Strategy(name="plain")
SHUFFLED = Strategy(name="shuffled", memvr=MemVRConfig(control="shuffled"))
PICTURES = [Pillow.new("RGB", (8, 8), (shade, 0, 0)) for shade in range(5)]


def about(number, *, seen=True, made=None, **generation):
    """A request about a document; `made` notes when its messages are."""

    def messages():
        if made is not None:
            made.append(number)
        content = [Image(PICTURES[number])] if seen else []
        return (Message("user", [*content, f"Number {number}?"]),)

    return Asked(
        document=("task", "test", number), context="", messages=messages, generation=generation
    )


def asking(engine, way=PLAIN, **options):
    return Asking(engine, way, LmmsEvalOptions(**options), progress=False)


def echo(request):
    return f"Said: {text_of(request.messages[-1])}"


class Lists(ScriptedEngine):
    """Keeps how long the lists are, and how many messages were made by then."""

    def __init__(self, made):
        super().__init__(echo)
        self.made, self.lists = made, []

    def generate(self, requests):
        self.lists.append((len(requests), len(self.made)))
        return super().generate(requests)


def test_answers_come_in_order_and_messages_are_made_batch_by_batch():
    made = []
    engine = Lists(made)
    one = asking(engine, batch_size=2)
    done = one.generate([about(n, made=made, max_new_tokens=9 - n) for n in range(5)])
    assert [answer.text for answer in done] == [f"Said: Number {n}?" for n in range(5)]
    assert engine.lists == [(2, 2), (2, 4), (1, 5)]
    assert [request.sampling.max_tokens for request in engine.requests] == [9, 8, 7, 6, 5]
    assert one.spent.tokens == sum(answer.usage.completion_tokens for answer in done)
    assert one.spent.seconds > 0


def test_an_error_says_what_was_asked():
    class Picky(ScriptedEngine):
        def generate(self, requests):
            raise ImageError("this picture can't be read")

    with pytest.raises(ImageError) as refused:
        asking(Picky(), batch_size=2).generate([about(n) for n in range(3)])
    [note] = refused.value.__notes__
    assert note.endswith("(task, split, document): task, test, 0; task, test, 1")


def test_a_bad_setting_is_reported_before_the_first_question_is_asked():
    engine = ScriptedEngine()
    with pytest.raises(RequestError, match="beams"):
        asking(engine).generate([about(0), about(1, num_beams=5)])
    assert engine.requests == []


def test_repetitions_of_a_document_are_sampled_with_seeds_of_their_own():
    engine = ScriptedEngine()
    sampled = {"do_sample": True, "temperature": 0.7}
    asking(engine, seed=5).generate([about(n, **sampled) for n in (0, 0, 1, 0)])
    assert [request.sampling.seed for request in engine.requests] == [5, 6, 5, 7]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"max_tokens": 77, "temperature": 0.0, "stop": ()}),
        ({"max_new_tokens": 5, "num_beams": 1}, {"max_tokens": 5}),
        ({"do_sample": False, "temperature": 0.7, "top_p": 0}, {"temperature": 0.0, "top_p": 1.0}),
        ({"temperature": 0.7, "top_p": 0.9}, {"temperature": 0.7, "top_p": 0.9}),
        ({"do_sample": True}, {"temperature": 1.0}),
        ({"do_sample": True, "temperature": 0}, {"temperature": 0.0}),
        ({"temperature": 0.0, "top_p": None, "top_k": 1}, {"temperature": 0.0, "top_k": 0}),
        ({"repetition_penalty": 1.2}, {"repetition_penalty": 1.2}),
        ({"until": ["ASSISTANT:", "\n\n"]}, {"stop": ("ASSISTANT:", "\n\n")}),
        ({"until": "Q:"}, {"stop": ("Q:",)}),
        ({"until": ["\n\n"]}, {"stop": ()}),  # lmms-eval's own, where a task has none
        ({"until": None}, {"stop": ()}),
    ],
)
def test_generation_kwargs(given, expected):
    sampling = read_sampling(given, 77, 1)
    assert {name: getattr(sampling, name) for name in expected} == expected
    assert sampling.seed == 1


def test_generation_kwargs_that_nothing_here_knows_are_reported():
    with pytest.warns(MemVRWarning, match="image_aspect_ratio='pad'"):
        assert read_sampling({"image_aspect_ratio": "pad"}, 5, 0).max_tokens == 5


@pytest.mark.parametrize(
    "given",
    [{"num_beams": 3}, {"until": 5}, {"max_new_tokens": 0}, {"do_sample": True, "top_p": 0}],
)
def test_generation_kwargs_that_cannot_be(given):
    with pytest.raises((RequestError, ConfigError)):
        read_sampling(given, 5, 0)


def test_batches_are_of_a_size_that_is_a_number():
    assert LmmsEvalOptions.read({"batch_size": "4"}).batch_size == 4
    for size in ("auto", 0):
        with pytest.raises(ConfigError, match="batch_size"):
            LmmsEvalOptions.read({"batch_size": size})


def test_the_shuffled_control_looks_at_the_next_document_with_images():
    engine = ScriptedEngine()
    asking(engine, SHUFFLED, batch_size=2).generate(
        [about(0), about(0), about(1, seen=False), about(2)]
    )
    shown = [[image.source for image in request.evidence] for request in engine.requests]
    assert shown == [[PICTURES[2]], [PICTURES[2]], [], [PICTURES[0]]]
    assert engine.requests[2].memvr is None
    with pytest.raises(RequestError, match="at least two"):
        asking(engine, SHUFFLED).generate([about(0), about(0)])


def test_rounds_go_on_until_the_task_ends_them():
    def following(number, said, notes):
        if number == 3:
            return Round(messages=None, said=said, notes=notes)
        asked = Message("user", f"Round {number}, {notes}, after {said[-1]}")
        return Round(messages=(asked,), said=said, notes=(notes or 0) + 1)

    first = Asked(
        document=("task", "test", 0),
        context="",
        messages=lambda: (Message("user", "First?"),),
        following=following,
    )
    [said] = asking(ScriptedEngine(echo)).rounds([first])
    assert said == [
        "Said: First?",
        "Said: Round 1, None, after Said: First?",
        "Said: Round 2, 1, after Said: Round 1, None, after Said: First?",
    ]


def test_a_task_without_an_end_is_ended():
    def following(number, said, notes):
        return Round(messages=(Message("user", "Again?"),), said=said, notes=notes)

    endless = Asked(
        document=("task", "test", 0),
        context="",
        messages=lambda: (Message("user", "A?"),),
        following=following,
    )
    with pytest.raises(RequestError, match="more than 100 rounds"):
        asking(ScriptedEngine()).rounds([endless])


def test_choices_of_a_document_are_scored_together(backend, scenes):
    def asked(number):
        message = Message("user", [Image(scenes[number].pixels), "What is in the picture?"])
        return Asked(document=("t", "s", number), context="", messages=lambda: (message,))

    [greedy] = asking(backend).generate([asked(0)])
    said = greedy.text.split()[0]
    scored = asking(backend).score(
        [asked(0), asked(0), asked(1)], [f" {said}", "xylophone", "xylophone"]
    )
    assert scored[0][0] < scored[1][0]
    assert [taken for _, taken in scored] == [True, False, False]
    request = PLAIN.asked(asked(0).messages(), read_sampling({}, 5, 0))
    assert scored[0][0] == pytest.approx(-backend.score(request, [said])[0], abs=1e-4)


def test_choices_count_whatever_goes_on_from_them(backend, scenes):
    """One that begins another and one that stands there twice, scored together."""
    message = Message("user", [Image(scenes[0].pixels), "How many cows?"])
    one = Asked(document=("t", "s", 0), context="", messages=lambda: (message,))
    choices = ["One", "One cow", "Two", "Two"]
    before = backend.steps
    found = [cost for cost, _ in asking(backend).score([one] * 4, choices)]
    longest = max(len(backend.tokenize(start + one)) for start in ("", " ") for one in choices)
    # Those of the choices, all together, and those of the greedy answer.
    assert backend.steps - before <= 2 * longest
    request = PLAIN.asked([message], read_sampling({}, 5, 0))
    likely = [backend.score(request, [choice])[0] for choice in choices]
    assert found == pytest.approx([-log for log in likely], abs=1e-4)
