"""How people ask: for every kind of question its patterns, and others that training never sees.

The slots: `{a}` a dog, `{c}` dog, `{p}` dogs, `{the}` the dog or the dogs, `{is_}` is or are,
`{color}`, `{field}` at the top left, `{other}` the tree, `{way}` left of, `{nth}` first.
"""

import random

from memvr_integrations.bundled.paraphrase import say

_IN = "[in|on|in] [the|this] [image|picture|photo|scene|image|picture]"
_ASK = "[can|could] you [please|] [tell me|say]"

# The first pattern of each kind is the plain one; it comes more often than the others.
TRAINED: dict[str, tuple[str, ...]] = {
    "exists": (
        "Is there {a} in the image?",
        f"Is there {{a}} [{_IN}|]?",
        f"[Do|Can] you see [{{a}}|any {{p}}|{{a}}] [{_IN}|here|there|]?",
        "Is there any {c} [here|in the picture|in the image]?",
        "Does [the|this] [image|picture|photo|scene] [contain|show|have|include] {a}?",
        f"Are there [any|] {{p}} [{_IN}|here|]?",
        f"[{_ASK}|tell me|I want to know] [if|whether] there is {{a}} [{_IN}|here|]?",
        f"Is [{{a}}|any {{c}}] [visible|present|shown|to be seen] [{_IN}|here|]?",
        "[Any|Are there any] {p} [here|there|in it|in the picture|]?",
        "Can [{a}|any {p}] be seen [in the picture|in the image|here|]?",
        "There is {a} [here|in the picture], [right|isn't there|correct]?",
        "There is no {c} [here|in the picture], is there?",
        f"I am looking for {{a}}. Is [it|there one] [{_IN}|here]?",
        "Do you [notice|spot|find|recognize] {a} [here|in the picture|]?",
        "I [think|believe|guess] there is {a} [here|in the picture|], [am I right|right]?",
        "[Have you seen|Have you found|Did you find|Do we have|Have we got] {a} [here|there|]?",
        "[Check|Find out|Look] [if|whether] there is {a} [here|in the picture|].",
        "Is there {a} anywhere [here|in the picture|]?",
        "[{c}|{a}]?",
    ),
    "exists color": (
        "Is there {a} in the image?",
        f"Is there {{a}} [{_IN}|here|]?",
        f"[Do|Can] you see {{a}} [{_IN}|here|]?",
        "Does the [image|picture|photo] [contain|show] {a}?",
        "Are there any {p} [here|in the picture|]?",
    ),
    "count": (
        "How many {p} are there?",
        f"How many {{p}} [are there|are|do you see|can you see] [{_IN}|here|]?",
        "[Please|] count the {p} [in the picture|in the image|].",
        "What is the number of {p} [here|in the picture|in the image|]?",
        f"[{_ASK}|tell me] how many {{p}} there are [{_IN}|here|]?",
        "How many {p}?",
        "[Number|Count] of {p}?",
        "Give me the number of {p}.",
        "{p}: how many?",
        "How many {p} [do we have|have we got|did you find|exist|show up] [here|there|]?",
        "[Tell me|What is|I need] the [count|amount|number] of {p}.",
    ),
    "is count": (
        "Are there {n} {p}?",
        "Are there [exactly|] {n} {p} [here|in the picture|in the image|]?",
        "Do you see {n} {p}?",
        "Is the number of {p} {n}?",
    ),
    "at least": (
        "Are there at least {n} {p}?",
        "[Are there|Do you see|Can you see] at least {n} {p} [here|in the picture|]?",
        "Are there {n} or more {p}?",
    ),
    "more than": (
        "Are there more than {n} {p}?",
        "[Do you see|Can you see] more than {n} {p}?",
    ),
    "more than one": (
        "Is there more than one {c}?",
        "[Do you see|Is there|Can you see] more than one {c} [here|in the picture|]?",
        "[Are there|Do you see] [several|multiple|many] {p}?",
    ),
    "only one": (
        "Is there only one {c}?",
        "Is there [just|exactly|only] one {c} [here|in the picture|]?",
        "Do you see [only|just] one {c}?",
    ),
    "most": (
        "What is there most of?",
        "[Which|What] [thing|object] [comes|appears|do you see] most often?",
        "What is the most [common|frequent] [object|thing] [here|in the picture|]?",
    ),
    "more": (
        "Are there more {p} than {q}?",
        f"Do you see more {{p}} than {{q}} [{_IN}|here|]?",
        "Are there [fewer|less] {q} than {p}?",
    ),
    "how many things": (
        "How many things are in the picture?",
        f"How many [objects|things|items] [are there|can you see] [{_IN}|in total|]?",
        "Count [all the objects|everything].",
    ),
    "color": (
        "What color {is_} {the}?",
        "What [color|colour] {is_} {the} [in the picture|in the image|here|]?",
        "Which [color|colour] {is_} {the}?",
        "What is the [color|colour] of {the}?",
        f"[{_ASK}|tell me] [what|which] [color|colour] {{the}} {{is_}}?",
        "[color|colour] of {the}?",
        "In [what|which] color {is_} {the} [painted|drawn|]?",
        "{the}: what [color|colour]?",
        "How {is_} {the} [colored|coloured|painted]?",
        "[Name|Say|Give me] the [color|colour] of {the}.",
    ),
    "is color": (
        "{is_} {the} {color}?",
        "{is_} {the} [in the picture|in the image|here|] {color}?",
        "Would you say {the} {is_} {color}?",
        "Is the [color|colour] of {the} {color}?",
    ),
    "either color": (
        "{is_} {the} {color} or {other}?",
        "{is_} {the} [more|rather|] {color} or {other}?",
        "[Tell me|Say]: {is_} {the} {color} or {other}?",
    ),
    "anything color": (
        "Is anything {color}?",
        "Is [anything|something] [here|in the picture|in the image|] {color}?",
        f"[Do you see|Can you see|Is there] [anything|something] {{color}} [{_IN}|here|]?",
        "Are there any {color} [things|objects] [here|in the picture|]?",
    ),
    "what is color": (
        "What is {color}?",
        "[What|Which] [thing|object|] is {color} [here|in the picture|in the image|]?",
        "[Which|What] [things|objects] are {color}?",
        "Name [something|what is] {color}.",
    ),
    "where": (
        "Where is {the}?",
        f"Where {{is_}} {{the}} [{_IN}|here|]?",
        "[In|On] [which|what] [part|side|corner|area] of the [picture|image] {is_} {the}?",
        f"[{_ASK}|tell me] where {{the}} {{is_}}?",
        "Where do you see {the}?",
        "Where [can I find|can I see|should I look for] {the}?",
        "What is the [position|location|place] of {the}?",
        "[Position|Location] of {the}?",
        "Find {the}.",
        "{the}: where?",
        "[Show|Tell] me where {the} {is_}.",
        "[Do you know|Any idea] where {the} {is_}?",
        "Where [in|on] the [picture|image|photo] {is_} {the} [located|placed|]?",
        "Where [about|roughly|] would you look for {the}?",
        "[Which|What] side {is_} {the} on?",
        "{is_} {the} on the left or on the right?",
        "{is_} {the} at the top or at the bottom?",
        "In which of the nine fields {is_} {the}?",
    ),
    "is half": (
        "Is {the} in the {half} half?",
        "Is {the} in the {half} [half|part] [of the picture|of the image|]?",
        "Do you see {the} in the {half} half?",
    ),
    "is where": (
        "Is {the} {field}?",
        "Is {the} {field} [of the picture|of the image|]?",
        "Do you see {the} {field}?",
        "Is {the} [placed|located|] {field}?",
    ),
    "what is where": (
        "What is {field}?",
        "What [is|do you see|can you see] {field} [of the picture|of the image|]?",
        "[Which|What] [thing|object] is {field}?",
        "[Name|Tell me] what is {field}.",
    ),
    "is related": (
        "Is {the} {way} {other}?",
        "Is {the} [placed|located|somewhere|] {way} {other} [in the picture|in the image|]?",
        "Would you say {the} is {way} {other}?",
        "Do you see {the} {way} {other}?",
    ),
    "what is related": (
        "What is {way} {the}?",
        "What [is|do you see|can you see] {way} {the} [in the picture|]?",
        "[Which|What] [things|objects] are {way} {the}?",
        "[Name|Tell me] what is {way} {the}.",
    ),
    "next to": (
        "What is next to {the}?",
        "What is [near|beside|close to|nearest to|closest to|right next to] {the}?",
        "[Which|What] [thing|object] is [nearest|closest|next] to {the}?",
    ),
    "how related": (
        "Where is {the} relative to {other}?",
        "Where is {the} [seen from|compared to|with respect to] {other}?",
        "[How|Where] is {the} placed [relative to|beside|compared to] {other}?",
        "On which side of {other} is {the}?",
    ),
    "caption": (
        "Describe the image.",
        "[Please|] describe [the|this] [image|picture|photo|scene] [in detail|in a sentence|].",
        "What is [shown|seen|to be seen|going on] in [the|this] [image|picture|photo]?",
        "Write a [caption|description] for [the|this] [image|picture|photo].",
        "What [is|do you see] in [the|this] [picture|image|photo]?",
        "What's in this [image|picture|photo]?",
        "[Give me|I need|Write] a [caption|description|summary] [of the picture|of the image|].",
        "[Caption|Describe] this [please|].",
        "What does [the|this] [picture|image|photo] show?",
        "Tell me about [the|this] [picture|image|photo].",
        "Can you describe what you see?",
        "[So|] what am I looking at?",
        "[Summarize|Explain] [the|this] [image|picture|photo|scene].",
    ),
    "any of group": (
        "Are there any {groups}?",
        f"[Are there|Do you see|Can you see] [any|some|] {{groups}} [{_IN}|here|]?",
        "Is there [any kind of|any|] {group} [here|in the picture|in the image|]?",
        "[Any|Some] {groups} [here|there|]?",
        "Does the [picture|image|photo] [show|have|contain] [any|] {groups}?",
    ),
    "any food": (
        "Is there anything to eat?",
        "Is there [anything|something] to eat [here|in the picture|]?",
        "[Is there|Do you see|Can you see] [any|some|] food [here|in the picture|]?",
        "Can I eat something [here|in the picture|]?",
    ),
    "which of group": (
        "Which {groups} are there?",
        "[What|Which] {groups} [are there|do you see|can you see] [here|in the picture|]?",
        "[Name|List] [the|all|all the] {groups}.",
    ),
    "how many of group": (
        "How many {groups} are there?",
        "How many {groups} [are there|do you see|can you see|are] [in the picture|here|]?",
        "Count the {groups}.",
    ),
    "anyone": (
        "Are there any people?",
        "Is [anyone|anybody|someone|somebody] [here|there|in the picture|]?",
        "[Do you see|Are there] [any|] people [here|in the picture|]?",
        "Can you see [anyone|somebody|a human] [here|in the picture|]?",
    ),
    "two": (
        "Is there {a} and {b}?",
        f"Is there {{a}} and {{b}} [{_IN}|here|]?",
        "[Do|Can] you see [both|] {a} and {b} [here|in the picture|]?",
        "Are [both|] {a} and {b} [here|there|in the picture|visible]?",
        "Does the [picture|image] [show|have] [both|] {a} and {b}?",
    ),
    "either": (
        "Is there {a} or {b}?",
        f"Is there [either|] {{a}} or {{b}} [{_IN}|here|]?",
        "[Do|Can] you see {a} or {b} [here|in the picture|]?",
    ),
    "besides": (
        "What else is there besides {the}?",
        "What [else is there|else do you see|is there|do you see] [besides|apart from] {the}?",
        "[Besides|Apart from] {the}, what [else|] [is there|do you see]?",
        "What [is there|do you see] that is not {the}?",
    ),
    "list": (
        "List everything in the image.",
        "[List|Name|Give me|Tell me] [everything|all objects|all the things|all things] "
        "[you see|in the picture|in the image|here|].",
        "What objects are in the [image|picture|photo]?",
        "[Which|What] [objects|things|items] [are there|do you see|can you see|are shown]?",
        "What do you see [here|]?",
        "What [things|objects] are [here|in it]?",
        "[What else|What all] is [there|here]?",
        "[Name|List|Tell me] [the|all|all the] [objects|things|items].",
    ),
    "theme": (
        "What kind of scene is this?",
        "[Where|In what place] was this [picture|photo|image] taken?",
        "What [sort|type|kind] of [place|scene|picture] is this?",
        "What is the [setting|scene|place|theme] [here|]?",
        "Which scene does the [picture|image] show?",
        "[Where|In what place] are we?",
        "Where is this?",
    ),
    "is theme": (
        "Is this {a} scene?",
        "Is this {a} [scene|picture|]?",
        "[Does the picture show|Do you see] {a} scene?",
        "[Would you say|Am I right that] this is {a} [scene|]?",
    ),
    "box": (
        "Where exactly is {the}? Give a box.",
        "[Give|Tell|Show] me [the|a] [bounding|] box [of|for|around] {the}.",
        "[What are|Give] the coordinates of {the} [as a box|]?",
        "Where exactly is {the}? [Answer with a box|Give the box|Box, please].",
        "[Draw|Put] a box around {the}.",
        "[Bounding|] box of {the}?",
        "[Locate|Find] {the} [with|as] a [bounding|] box.",
        "[Bbox|Box] [for|of] {the} [as x0, y0, x1, y1|in percent|]?",
        "Where exactly {is_} {the}?",
        "[Return|I need|I want] the [bounding|] box [of|for|around] {the}.",
        "[Detect|Outline|Box] {the}.",
        "Coordinates of {the}[, please|]?",
    ),
    "json": (
        "Describe the image as JSON.",
        "[Describe|List|Give me] [the|this] [image|picture|scene] [as|in] JSON.",
        "What is in the [picture|image]? Answer [in|as] JSON.",
        "JSON [description|summary] of the [picture|image], [please|].",
        "[List|Give me] [the objects|everything] [as|in] JSON.",
    ),
    "which picture": (
        "Which picture has {a}?",
        "Which [picture|image|photo|one] [shows|contains|has] {a}?",
        "[Which|What] [of the|of these] [pictures|images] [shows|has|contains] {a}?",
        "Where do I see {a}, in the first or the second [picture|image]?",
        "In which [picture|image] [is there|do you see|can I find] {a}?",
    ),
    "do both": (
        "Do both pictures show {a}?",
        "Do both [pictures|images] [show|have|contain] {a}?",
        "Is there {a} in both [pictures|images]?",
    ),
    "in both": (
        "What is in both?",
        "What is in both [pictures|images|photos]?",
        "[What|Which things|Which objects] [do the|do both] [pictures|images] "
        "[share|have in common]?",
        "[Name|List] what [both pictures|both images] have.",
        "What do they have in common?",
    ),
    "exists in": (
        "Is there {a} in the {nth} picture?",
        "[Is there|Do you see|Can you see] {a} in the {nth} [picture|image|photo|one]?",
        "Does the {nth} [picture|image|photo] [show|have|contain] {a}?",
        "Are there any {p} in [picture|image] {number}?",
    ),
    "caption of": (
        "Describe the {nth} picture.",
        "[Describe|Caption] the {nth} [picture|image|photo].",
        "What [is|do you see] in the {nth} [picture|image|one|photo]?",
        "What does [picture|image] {number} show?",
    ),
    "count in": (
        "How many {p} are in the {nth} picture?",
        "How many {p} [are there|do you see|are] in the {nth} [picture|image|one]?",
        "Count the {p} in the {nth} [picture|image].",
    ),
    "more in": (
        "Which picture has more {p}?",
        "[Which|What] [picture|image|one] [has|shows|contains] more {p}?",
        "In which [picture|image] are there more {p}?",
    ),
    "then color": ("And what [color|colour] {is_} {it}?", "What [color|colour] {is_} {it}?",
        "[Which|What] [color|colour]?", "And [its|the] [color|colour]?"),
    "then where": ("Where {is_} {it}?", "And where {is_} {it}?", "Where?", "And where?",
        "Where in the picture?"),
    "then count": ("How many?", "And how many [are there|do you see|]?", "How many of them?"),
    "then exists": ("And {a}?", "What about {a}?", "And is there {a}?", "[Any|And] {p}?",
        "How about {a}?"),
    "then box": ("Where exactly? Give a box.", "[Give|Show] me the box.", "And [its|the] box?"),
    "then else": ("What else?", "Anything else?", "[And|] what else is there?",
        "What else do you see?"),
}  # fmt: skip

# The same questions in words that training never sees.
HELD_OUT: dict[str, tuple[str, ...]] = {
    "exists": (
        "Would I find {a} somewhere in this picture?",
        "Is {a} part of the scene?",
        "Look closely: is there {a}?",
        "Have they drawn {a}?",
        "Does {a} appear anywhere?",
    ),
    "count": (
        "What's the total number of {p}?",
        "How many {p} did they draw?",
        "Could you count up the {p} for me?",
    ),
    "color": (
        "{the}, what color {is_} that?",
        "What's the color {the} {is_} painted in?",
        "Tell me the color of {the}.",
    ),
    "where": (
        "Whereabouts is {the}?",
        "Point me to {the}: where is it?",
        "Which corner or side holds {the}?",
    ),
    "caption": (
        "Sum up this picture for me.",
        "Say what you see in one sentence.",
        "How would you describe this image?",
    ),
    "list": ("Name all that is in there.", "Go through the things you can see."),
    "is color": ("Does {the} look {color}?", "{the}: {color} or not?"),
    "anything color": ("Is there a {color} thing anywhere?", "Do any of the things look {color}?"),
    "is related": ("Does {the} stand {way} {other}?", "Can {the} be found {way} {other}?"),
    "box": ("Mark {the} with a bounding box.", "Which box encloses {the}?"),
    "which picture": ("Which one of the two has {a}?", "Tell me which image contains {a}."),
}

_PLAIN = 0.25


def phrase_question(kind: str, rng: random.Random, **slots: str) -> str:
    """A question of a kind in some of its wordings."""
    patterns = TRAINED[kind]
    return say(patterns[0] if rng.random() < _PLAIN else rng.choice(patterns), rng, **slots)


def held_out_question(kind: str, rng: random.Random, **slots: str) -> str:
    """A question of a kind in a wording that training never sees."""
    return say(rng.choice(HELD_OUT[kind]), rng, **slots)
