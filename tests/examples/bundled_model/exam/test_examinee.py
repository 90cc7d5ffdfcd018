import pytest
import torch
from bundled_model.exam.examinee import Examinee, Prompt, about
from bundled_settings import FIRST_THEMES

from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.bundled.world.scenes import SPRITES
from memvr_integrations.evaluate.benchmarks.scene_questions import exam, held_out_scenes
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types import Image, Message, Request, SamplingParams


@pytest.fixture(scope="module")
def some_scenes():
    return held_out_scenes(6, themes=FIRST_THEMES, seed=9, files=[SPRITES])


@pytest.fixture(scope="module")
def examinee():
    return Examinee(WEIGHTS)


def test_margins_do_not_depend_on_the_batch(some_scenes, examinee):
    features = examinee.see([scene.pixels for scene in some_scenes])
    questions = exam(some_scenes, themes=FIRST_THEMES)
    config = MemVRConfig(starting_layer=1, ending_layer=8, entropy_threshold=0.0)
    together, traces = examinee.margins(features, questions, config=config)
    alone, [trace] = examinee.margins(features, questions[3:4], config=config)
    assert together[3].item() == pytest.approx(alone.item(), abs=1e-4)
    assert trace.entropy == pytest.approx(traces[3].entropy, abs=1e-5)
    assert all(trace.trigger_layer == 2 for trace in traces)


def test_another_image_as_memory_changes_the_answer_and_its_own_does_not(some_scenes, examinee):
    features = examinee.see([scene.pixels for scene in some_scenes])
    questions = exam(some_scenes, themes=FIRST_THEMES)
    config = MemVRConfig(
        starting_layer=1, ending_layer=8, entropy_threshold=0.0, retracing_ratio=0.9
    )
    own, _ = examinee.margins(features, questions, config=config)
    same, _ = examinee.margins(features, questions, config=config, instead=features)
    other, _ = examinee.margins(features, questions, config=config, instead=features.roll(1, 0))
    assert torch.equal(own, same)
    assert not torch.allclose(own, other, atol=1e-3)


def test_answers_equal_those_of_the_backend(some_scenes, examinee, backend):
    features = examinee.see([some_scenes[0].pixels])
    [said] = examinee.say(features, [about(0, "What do you see?")], tokens=12)
    request = Request.ask(
        "What do you see?",
        some_scenes[0].pixels,
        sampling=SamplingParams(max_tokens=12),
        memvr=None,
    )
    assert backend.generate(request)[0].text == said


def test_a_conversation_about_two_pictures_is_the_backends(some_scenes, examinee, backend):
    first, second = (scene.pixels for scene in some_scenes[:2])
    features = examinee.see([first, second])
    asked = ("What is in both?", "And how many?")
    [answer] = examinee.say(features, [Prompt(question=asked[0], pictures=(0, 1))], tokens=9)
    before = ((asked[0], answer),)
    prompt = Prompt(question=asked[1], pictures=(0, 1), before=before)
    [said] = examinee.say(features, [prompt], tokens=9)
    messages = (
        Message("user", [Image(first), Image(second), asked[0]]),
        Message("assistant", answer),
        Message("user", asked[1]),
    )
    request = Request(messages=messages, sampling=SamplingParams(max_tokens=9), memvr=None)
    assert backend.generate(request)[0].text == said


def test_answers_come_back_in_the_order_of_the_questions(some_scenes, examinee):
    features = examinee.see([scene.pixels for scene in some_scenes])
    prompts = [about(index % 6, "Describe the image." * (1 + index % 3)) for index in range(70)]
    prompts.append(Prompt(question="How many cups are there?", pictures=()))
    together = examinee.say(features, prompts, tokens=5)
    for place in (0, 31, 69, 70):
        assert examinee.say(features, prompts[place : place + 1], tokens=5) == [together[place]]


def test_pictures_that_were_read_before_answer_as_if_they_were_read_anew(some_scenes, examinee):
    """The same questions with the picture before each of them, through the slow way."""
    features = examinee.see([scene.pixels for scene in some_scenes])
    out_of_reach = MemVRConfig(starting_layer=-1, ending_layer=12, entropy_threshold=2.0)
    prompts = [about(2, "Is there a dog?"), about(0, "Do you see any cows here, or not?")]
    quick, _ = examinee.leanings(features, prompts)
    slow, _ = examinee.leanings(features, prompts, config=out_of_reach)
    assert quick == pytest.approx(slow, abs=1e-3)
    prompts.append(Prompt(question="And a cat?", pictures=(1,), before=(("A dog?", "No"),)))
    said = examinee.say(features, prompts, tokens=12)
    assert said == examinee.say(features, prompts, tokens=12, config=out_of_reach)
    doubted, _ = examinee.say_and_doubt(features, prompts, tokens=12)
    assert doubted == said
    # Other pictures under the same numbers are not mistaken for these.
    others = examinee.see([scene.pixels for scene in some_scenes[3:]])
    turned, _ = examinee.leanings(others, prompts[1:2])
    alone, _ = examinee.leanings(others, prompts[1:2], config=out_of_reach)
    assert turned == pytest.approx(alone, abs=1e-3)
