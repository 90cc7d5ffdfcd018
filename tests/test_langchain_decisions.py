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
