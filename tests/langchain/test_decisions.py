import math

import pytest
from langchain_core.messages import HumanMessage
from scripted_engine import ScriptedEngine

decisions = pytest.importorskip("langchain_core.decisions", reason="langchain-core before 1.8")

from memvr_integrations.errors import RequestError  # noqa: E402
from memvr_integrations.langchain import ChatMemVR, image_block  # noqa: E402
from memvr_integrations.langchain.decisions import MemVRDecision  # noqa: E402
from memvr_integrations.types import Image, Text  # noqa: E402

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


ONE = decisions.Choice(instructions="How many?", criteria={"1": None, "10": None, "2": None})


@pytest.mark.parametrize(
    ("split", "shares"),
    [
        (list, {"1": 0.2, "10": 0.3, "2": 0.4}),
        (lambda text: [text], {"1": 0.5, "10": 0.3, "2": 0.4}),
        (lambda text: list(text) if text[0] == " " else [text], {"1": 0.5, "10": 0.3, "2": 0.4}),
    ],
    ids=["a token a character", "a token a text", "only after a blank"],
)
async def test_a_label_counts_without_the_longer_ones_that_begin_with_it(
    scripted, engine, split, shares
):
    engine.scores = {"1": math.log(0.5), "10": math.log(0.3), "2": math.log(0.4)}
    engine.tokenize = split
    asked = {"state": "A farm.", "questions": {"one": ONE}}
    for found in (scripted.invoke(asked), await scripted.ainvoke(asked)):
        whole = sum(shares.values())
        expected = {label: share / whole for label, share in shares.items()}
        assert found.choices["one"].probabilities == pytest.approx(expected)


def test_shares_of_labels_in_a_row_add_up(scripted, engine):
    """Rounding may give a longer label a little more than the shorter one has."""
    engine.scores = {"1": -1.0, "10": -1.5, "100": -1.5 + 1e-6}
    engine.tokenize = list
    question = decisions.Choice(instructions="?", criteria=dict.fromkeys(engine.scores))
    found = scripted.invoke({"state": "A farm.", "questions": {"one": question}}).choices["one"]
    first = 1 - math.exp(-0.5)
    assert found.probabilities == pytest.approx({"1": first, "10": 0, "100": 1 - first}, abs=1e-5)
    assert found.choice == "100"


def test_a_real_models_labels_share_one_probability(backend, scenes, monkeypatch):
    told, score = {}, backend.score

    def noted(request, answers):
        told.update(zip(answers, score(request, answers), strict=True))
        return list(told.values())

    monkeypatch.setattr(backend, "score", noted)
    question = decisions.Choice(instructions="A dog?", criteria={"No": None, "No, there is": None})
    asked = {"state": [image_block(scenes[0].pixels)], "questions": {"dog": question}}
    found = MemVRDecision(chat=ChatMemVR(engine=backend)).invoke(asked).choices["dog"]
    assert found.probabilities["No, there is"] == pytest.approx(
        math.exp(told["No, there is"] - told["No"])
    )


def test_data_with_a_type_is_data(scripted, engine):
    state = [
        {"type": "invoice", "total": 3},
        {"type": "tool_call", "name": "pay"},
        {"type": ["a"], "image": {"type": "image", "base64": "AAAA"}},
    ]
    scripted.invoke({"state": state, "questions": {"dog": DOG}})
    *told, picture = engine.requests[0].messages[0].content
    texts = ["type:", "invoice", "total:", "3", "type:", "tool_call", "name:", "pay"]
    assert [part.text for part in told] == [*texts, "type:", "a", "image:"]
    assert isinstance(picture, Image)


def test_a_block_that_cannot_be_read_is_no_data(scripted):
    heard = {"type": "audio", "base64": "AAAA"}
    with pytest.raises(RequestError, match="'audio'"):
        scripted.invoke({"state": {"heard": heard}, "questions": {"dog": DOG}})


def test_questions_and_state_are_told(scripted, engine):
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


def test_a_place_is_refused(scripted):
    box = decisions.Box(instructions="The dog.")
    with pytest.raises(RequestError, match="'where' asks for a place"):
        scripted.invoke({"state": "A farm.", "questions": {"where": box}})
