"""Questions that no picture answers, and small talk.

What is asked about a thing is made of its parts (who, when, what for, and a verb), so that
refusing is learnt as a rule and not as a list.
"""

import random

from bundled_model.conversations.questions import NO_IMAGE, Turn
from bundled_model.conversations.wordings.paraphrase import say
from memvr_integrations.bundled.world import CLASSES

REFUSAL = "I cannot tell from the image."

_ABOUT_A_THING = (
    "Who [owns|made|bought|sold|built|drew|painted|found|lost|brought|wants|likes|used|invented] "
    "the {c}?",
    "Whose {c} is [this|it|that]?",
    "Who does the {c} belong to?",
    "What is the [name|price|weight|age|brand|owner|value|history|temperature|smell|taste|"
    "length|size in inches] of the {c}?",
    "What is the {c}'s [name|age|price|owner|favorite food|weight|birthday]?",
    "How [old|heavy|expensive|tall in meters|fast|warm|long in inches|tasty|happy|much worth] "
    "is the {c}?",
    "How much [does the {c} cost|is the {c}|did the {c} cost|does the {c} weigh|"
    "money is the {c} worth]?",
    "When was the {c} [made|bought|built|born|found|sold|painted|last used|invented]?",
    "Where was the {c} [made|bought|built|born|found yesterday|invented|sold]?",
    "Where does the {c} come from?",
    "Why is the {c} [here|there|so old|in this picture]?",
    "What [will|did] the {c} do [tomorrow|next|yesterday|later]?",
    "What is the {c} [thinking|made of|called|worth|doing tomorrow|saying|used for today]?",
    "What does the {c} [cost|weigh|smell like|taste like|think|feel|sound like|want]?",
    "What happened [to the {c} before|before the picture was taken]?",
    "Does the {c} [work|belong to someone|like music|feel sad|cost a lot|have a name|taste good]?",
    "Is the {c} [expensive|new|heavy|for sale|famous|hungry|tired|tasty|broken inside|mine]?",
    "Did [someone|anybody] [buy|steal|sell|wash] the {c} [yesterday|last week|]?",
    "Which [company|person|brand|country|year] [is|does] the {c} [from|come from]?",
    "Tell me the [name|owner|price|age] of the {c}.",
    "What is the {c} called?",
    "What is the [name|owner|price] of the [left|right|big|small|other] {c}?",
    "Who [baked|cooked|planted|parked|left|drives|feeds|washed|hid] the {c}?",
    "When does the {c} [leave|sleep|eat|open|wake up|go home|start]?",
    "How long has the {c} been [here|there|around]?",
    "What is the {c} [feeling|waiting for|going to do|dreaming of|afraid of]?",
)
_ABOUT_THE_WORLD = (
    "What is the weather [tomorrow|next week|in Paris]?",
    "What time [is it|was it when the picture was taken|does the shop open]?",
    "Who [took|drew|made|painted] [the|this] [picture|photo|image]?",
    "When was [the|this] [picture|photo|image] [taken|made|drawn]?",
    "[Which|What] [country|city|town|year|day] [is this|was it taken in|is it]?",
    "What is [the capital of France|two plus two|my name|your favorite song|behind the camera]?",
    "What [happened before|happens next|will happen next|is outside the picture]?",
    "Who is the president?",
    "Why was [the|this] [picture|photo|image] taken?",
    "How is the [weather|mood|music] [there|]?",
    "How much did [the|this] [picture|camera] cost?",
    "What does it say in the newspaper?",
    "Will it [rain|snow|be sunny|get dark|be cold] [there|here|] [tomorrow|tonight|later|soon]?",
    "Is it [going to rain|cold|warm|loud|Monday|a holiday] [there|here|in the picture|]?",
)
ABOUT = _ABOUT_A_THING + _ABOUT_THE_WORLD
NO_SUCH, NONE = "I see no such thing.", "There are none."
HELD_OUT = (
    "Who is the owner of the {c}?",
    "How many years old is the {c}?",
    "Do you know who gave away the {c}?",
    "What was paid for the {c}?",
    "What will become of the {c}?",
    "For whom is the {c}?",
    "On which day did the {c} arrive?",
)
_TALK = (
    (
        "[Hello|Hi|Hi|Hey|Good morning|Good evening] [there|][!|.|]",
        "Hello! Ask me about a picture.",
    ),
    ("[Thanks|Thank you|Great, thanks|Thank you very much][!|.|]", "You are welcome."),
    (
        "[Who are you|What are you|What is your name|Are you a [robot|human|model]]?",
        "I am a small model that looks at drawn pictures.",
    ),
    (
        "[What can you do|What do you know|Help|How does this work|What can I ask you][?|]",
        "I can name, count, place and describe things in drawn pictures.",
    ),
    ("[Bye|Goodbye|See you][!|.|]", "Goodbye."),
)


def unknowable(name: str, rng: random.Random, *, held_out: bool = False) -> Turn:
    """A question about `name` that no picture answers."""
    patterns = HELD_OUT if held_out else _ABOUT_A_THING if rng.random() < 0.8 else _ABOUT_THE_WORLD
    return Turn(say(rng.choice(patterns), rng, c=name), REFUSAL)


def small_talk(rng: random.Random, *, blind: bool) -> Turn:
    """A greeting, thanks, and the like."""
    pattern, answer = rng.choice(_TALK)
    return Turn(say(pattern, rng), answer, blind)


def no_picture(question: str) -> Turn:
    """Any question about a picture, asked where there is none."""
    return Turn(question, NO_IMAGE, blind=True)


def any_class(rng: random.Random) -> str:
    """Some class, whether it is there or not."""
    return rng.choice(CLASSES)
