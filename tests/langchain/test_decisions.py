import importlib
import math
from pathlib import Path

import pytest
from busy import Busy, at_once  # noqa: F401  # a fixture
from langchain_core.messages import HumanMessage
from scripted_engine import ScriptedEngine

decisions = pytest.importorskip("langchain_core.decisions", reason="langchain-core before 1.8")

from memvr_integrations.errors import RequestError  # noqa: E402
from memvr_integrations.langchain import ChatMemVR, image_block  # noqa: E402
from memvr_integrations.langchain.decisions import MemVRDecision  # noqa: E402
from memvr_integrations.llama_index import MemVRMultiModalLLM  # noqa: E402
from memvr_integrations.llama_index import image_block as llama_index_block  # noqa: E402
from memvr_integrations.types import Image, Request, Text  # noqa: E402

DOG = decisions.Noul(instructions="Is there a dog in the picture?")
PLACE = decisions.Choice(
    instructions="Where is it?", criteria={"farm": None, "kitchen": "Plates and cups."}
)
HOW_FULL = decisions.Score(instructions="How full is it?", criteria=["Empty.", "Some.", "Full."])


@pytest.fixture
def engine():
    return ScriptedEngine()


@pytest.fixture
def scripted(engine):
    return MemVRDecision(chat=ChatMemVR(model="scripted", engine=engine, memvr=None))


async def test_all_kinds_of_questions_are_answered(backend, scenes):
    model = MemVRDecision(chat=ChatMemVR(engine=backend))
    asked = {
        "state": [{"type": "text", "text": "A picture:"}, image_block(scenes[0].pixels)],
        "questions": {"dog": DOG, "place": PLACE, "full": HOW_FULL},
    }
    for found in (model.invoke(asked), await model.ainvoke(asked)):
        assert 0 <= found.nouls["dog"].noul <= 1
        place = found.choices["place"]
        assert place.choice == max(place.probabilities, key=place.probabilities.get)
        assert sum(place.probabilities.values()) == pytest.approx(1)
        assert 0 <= found.scores["full"].score <= 2


def test_probabilities_are_shared_out(scripted, engine):
    engine.scores = {"Yes": -1.0, "No": -2.0}
    found = scripted.invoke({"state": "A farm.", "questions": {"dog": DOG}})
    assert found.nouls["dog"].noul == pytest.approx(1 / (1 + 2.718281828**-1))


@pytest.mark.usefixtures("at_once")
async def test_a_full_queue_is_waited_for(scripted, engine, monkeypatch):
    plain, busy = engine.score, Busy(2)

    def score(*asked, **options):
        busy()
        return plain(*asked, **options)

    monkeypatch.setattr(engine, "score", score)
    assert scripted.invoke({"state": "A farm.", "questions": {"dog": DOG}}).nouls["dog"].noul == 0.5
    busy = Busy(2)
    found = await scripted.ainvoke({"state": "A farm.", "questions": {"dog": DOG}})
    assert found.nouls["dog"].noul == 0.5


@pytest.mark.parametrize("labels", [("Yes", "Yes, there is"), ("Yes, there is", "Yes")])
async def test_a_label_counts_without_the_longer_one_that_begins_with_it(backend, scenes, labels):
    picture, text = scenes[0].pixels, "Is there a dog in the picture?"
    llm = MemVRMultiModalLLM(engine=backend)
    prompt = f"{text} Answer with one of: {', '.join(labels)}."
    first = llm.probability(prompt, [llama_index_block(picture)], labels)
    question = decisions.Choice(instructions=text, criteria=dict.fromkeys(labels))
    asked = {"state": [image_block(picture)], "questions": {"dog": question}}
    model = MemVRDecision(chat=ChatMemVR(engine=backend))
    for found in (model.invoke(asked), await model.ainvoke(asked)):
        shared = found.choices["dog"].probabilities
        assert shared[labels[0]] == pytest.approx(first, abs=1e-4)
        assert sum(shared.values()) == pytest.approx(1)
    # What begins with "Yes, there is" begins with "Yes" too.
    request = Request.ask(prompt, picture)
    begun = [math.exp(backend.score(request, [label])[0]) for label in ("Yes", "Yes, there is")]
    assert shared["Yes, there is"] == pytest.approx(begun[1] / begun[0], abs=1e-4)


def test_data_with_a_type_is_data(scripted, engine):
    state = [
        {"type": "invoice", "total": 3},
        {"type": "tool_call", "name": "pay"},
        {"type": ["a"], "image": {"type": "image", "base64": "AAAA"}},
    ]
    scripted.invoke({"state": state, "questions": {"dog": DOG}})
    *before, picture = engine.requests[0].messages[0].content
    texts = ["type:", "invoice", "total:", "3", "type:", "tool_call", "name:", "pay"]
    assert [part.text for part in before] == [*texts, "type:", "a", "image:"]
    assert isinstance(picture, Image)


def test_a_block_that_cannot_be_read_is_no_data(scripted):
    heard = {"type": "audio", "base64": "AAAA"}
    with pytest.raises(RequestError, match="'audio'"):
        scripted.invoke({"state": {"heard": heard}, "questions": {"dog": DOG}})


def test_questions_and_state_reach_the_model(scripted, engine):
    picture = {"type": "image", "base64": "AAAA"}
    state = {"seen": [picture], "count": 3, "note": "farm"}
    scripted.invoke({"state": state, "questions": {"place": PLACE}})
    [request] = engine.requests
    seen, question = request.messages
    assert [type(part) for part in seen.content].count(Image) == 1
    assert Text("3") in seen.content
    assert "kitchen (Plates and cups.)" in question.content[0].text
    assert request.memvr is None


def test_messages_stay_messages(scripted, engine):
    said = [HumanMessage("Hi"), HumanMessage("There is a dog.")]
    scripted.invoke({"state": said, "questions": {"dog": DOG}})
    assert len(engine.requests[0].messages) == 3


def test_pictures_in_a_question_reach_the_model_where_they_stand(scripted, engine):
    picture = {"type": "image", "base64": "AAAA"}
    shown = [{"type": "text", "text": "Is it as here?"}, picture]
    deep = {"example": [{"non": 1}, {"type": "non_standard", "value": picture}]}
    questions = {
        "noul": decisions.Noul(instructions=shown, criteria={"true": picture, "false": "Else"}),
        "choice": decisions.Choice(instructions="Which?", criteria={"a": [picture], "b": None}),
        "score": decisions.Score(instructions=deep, criteria=["None.", shown]),
        "data": decisions.Noul(instructions={"ask": ["a dog?"]}),
    }
    scripted.invoke({"state": "Compare.", "questions": questions})
    found = [
        [part.text if isinstance(part, Text) else Image for part in request.messages[-1].content]
        for request in engine.requests
    ]
    assert found == [
        ["Is it as here?", Image, " Say yes for: ", Image, ". Say no for: Else. Answer yes or no."],
        ["Which? Answer with one of: a (", Image, "), b."],
        [
            "example: non: 1",
            Image,
            " Answer with a number. 0: None.; 1: Is it as here?",
            Image,
            ".",
        ],
        ['{"ask": ["a dog?"]} Answer yes or no.'],
    ]


@pytest.mark.parametrize("place", ["instructions", "criteria"])
def test_what_the_model_cannot_read_is_refused_in_a_question(scripted, place):
    heard = [{"type": "audio", "base64": "AAAA"}]
    asked = {"instructions": "Which?", "criteria": {"a": None}}
    asked[place] = heard if place == "instructions" else {"a": heard}
    with pytest.raises(RequestError, match="'audio'"):
        scripted.invoke({"state": "A farm.", "questions": {"q": decisions.Choice(**asked)}})


async def test_questions_about_one_picture_read_and_encode_it_once(backend, scenes, monkeypatch):
    opening = importlib.import_module("memvr_integrations.backend.images.opened")
    read, encoded, load = [], [], opening.read_image

    def noting(source, policy):
        read.append(isinstance(source, str))
        return load(source, policy)

    monkeypatch.setattr(opening, "read_image", noting)
    model = MemVRDecision(chat=ChatMemVR(engine=backend))
    tower = backend.model.base_model.vision_tower
    with tower.register_forward_hook(lambda *_: encoded.append(1)):
        for number, ask in enumerate((model.invoke, model.ainvoke)):
            pixels = scenes[0].pixels.copy()
            pixels[0, 0] = number
            questions = {
                str(n): decisions.Noul(instructions=f"{n} dogs?") for n in range(10 - 8 * number)
            }
            found = ask({"state": [image_block(pixels)], "questions": questions})
            found = found if number == 0 else await found
            assert found.usage["input_tokens"] > 64 * len(questions)
            assert found.usage["output_tokens"] == 0
            assert len(encoded) == sum(read) == number + 1
    assert found.model == "bundled"
    assert found.request_id.startswith("memvr-")


async def test_a_place_is_a_box_in_parts_of_the_picture(whole):
    farm = Path("examples/images/farm.png")
    model = MemVRDecision(chat=ChatMemVR(engine=whole, temperature=1.0))
    for thing, ask in (("The dog", model.invoke), ("Locate the dog.", model.ainvoke)):
        question = decisions.Box(instructions=thing)
        found = ask({"state": {"seen": [image_block(farm)]}, "questions": {"where": question}})
        found = found if ask == model.invoke else await found
        box = found.boxes["where"].box
        assert 0.1 < box.left < 0.3 < 0.4 < box.right < 0.6
        assert 0 < box.top < 0.2 < 0.3 < box.bottom < 0.5
        assert found.usage["output_tokens"] > 4


def test_a_place_that_no_box_says_is_refused(scripted):
    picture = {"type": "image", "base64": "AAAA"}
    where = decisions.Box(instructions=[{"type": "text", "text": "This one."}, picture])
    for state, question, error in (
        ("A farm.", decisions.Box(instructions="The dog."), "the state holds no picture"),
        ([picture], where, "brings a picture itself"),
        ([picture], decisions.Box(instructions="The dog."), "scripted wrote no box but 'This is"),
    ):
        with pytest.raises(RequestError, match=f"'where' asks for a place, and {error}"):
            scripted.invoke({"state": state, "questions": {"where": question}})


def test_it_is_called_as_the_engine_that_answers(engine):
    assert MemVRDecision(chat=ChatMemVR(engine=engine)).model == "scripted"
    assert MemVRDecision(model="mine", chat=ChatMemVR(engine=engine)).model == "scripted"
