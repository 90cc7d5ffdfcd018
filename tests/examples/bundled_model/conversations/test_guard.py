"""Nothing that measures the model, and no example, is trained on."""

import ast
import json
import random
import re
from difflib import SequenceMatcher
from pathlib import Path

import bundled_model
import langchain_tests
import pytest
from bundled_model.conversations.practised.languages import foreign_question
from bundled_model.conversations.practised.records import record
from bundled_model.conversations.practised.references import reference
from bundled_model.conversations.tools.drills import drill
from bundled_model.conversations.tools.talks import talk
from bundled_model.exam.seen_wordings import is_seen_wording
from bundled_model.exam.typed_exam import SETS, typed_questions
from bundled_settings import FIRST_THEMES

from memvr_integrations.types.tools import ANSWER_IN_JSON

EXAMPLES = Path(bundled_model.__file__).parents[1]
SUITES = [*EXAMPLES.glob("*.py"), *Path(langchain_tests.__path__[0]).rglob("chat_models.py")]
NEAR = 0.9


def bare(text):
    """A text without capitals and signs."""
    return " ".join(re.findall(r"\w+", text.lower()))


@pytest.fixture(scope="module")
def practised(scenes):
    """Many conversations of all new kinds."""
    made = []
    for seed in range(400):
        rng, scene = random.Random(seed), scenes[seed % len(scenes)]
        makers = (talk, record, reference)
        made += [make(scene, rng, FIRST_THEMES) for make in makers]
        made.append(drill(rng))
    return made


@pytest.fixture(scope="module")
def questions(practised):
    """What is asked in them, schemas and results left out."""
    asked = {
        turn.question.partition(f" {ANSWER_IN_JSON} ")[0]
        for one in practised
        for turn in one.turns
        if not turn.question.startswith("<tool_response")
    }
    return asked | {foreign_question(random.Random(seed)) for seed in range(400)}


@pytest.fixture(scope="module")
def strings():
    """Every text of three words or more in the standard suite and in the examples."""
    return {
        bare(node.value)
        for file in SUITES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if len(bare(node.value).split()) >= 3
    }


def test_no_tool_of_the_suites_or_the_examples_is_offered(practised):
    tools = {
        node.name
        for file in SUITES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    } | {"my_adder_tool", "unicode_customer", "random_image", "greeting_generator"}
    assert "magic_function" in tools
    offered = {
        json.loads(line)["name"]
        for one in practised
        if one.system
        for line in one.system.split("\n")[1:-1]
    }
    assert len(offered) > 500
    assert not {bare(name) for name in offered} & {bare(name) for name in tools}


def test_no_question_is_one_of_the_suites_or_the_examples(questions, strings):
    assert bare("What is the value of magic_function(3)? Use the tool.") in strings
    ours = {bare(one) for one in questions if not is_seen_wording(one)}
    assert not [one for one in ours & strings if len(one.split()) > 3]


def test_no_new_question_is_near_one_of_the_suite(questions):
    """Near: nine letters of ten are the same in order."""
    suite = "\n".join(file.read_text(encoding="utf-8") for file in SUITES)
    asked = {
        bare(text)
        for text in re.findall(r'(?:invoke\(|query = |HumanMessage\()\s*"([^"]+)"', suite)
    }
    asked = {one for one in asked if len(one.split()) >= 4}
    assert len(asked) > 3
    # Wordings that training had before, and that everybody uses: "Is there a dog in the picture?"
    new = [one for one in questions if not is_seen_wording(one)]
    assert len(new) > 500
    matcher = SequenceMatcher(autojunk=False)
    for theirs in asked:
        matcher.set_seq2(theirs)
        for ours in new:
            matcher.set_seq1(bare(ours))
            assert matcher.real_quick_ratio() < NEAR or matcher.ratio() < NEAR, (ours, theirs)


@pytest.mark.parametrize("name", SETS)
def test_no_new_question_is_a_typed_one_in_words_of_its_own(questions, name):
    """A typed question in a wording that training had before is counted apart in the exam."""
    typed = {
        bare(one.question) for one in typed_questions(name) if not is_seen_wording(one.question)
    }
    assert len(typed) > 100
    assert not [one for one in typed & {bare(one) for one in questions} if len(one.split()) > 3]
