"""How people ask about places: fields, halves, one thing beside another, boxes.

See phrasings.py for what the slots and brackets mean.
"""

_IN = "[in|on|in] [the|this] [image|picture|photo|scene|image|picture]"
_ASK = "[can|could] you [please|] [tell me|say]"

PLACES: dict[str, tuple[str, ...]] = {
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
        "{the} [location|position|place] [please|]?",
        "{the} {is_} where [exactly|in it|]?",
        "Where {is_} {the} [sitting|standing|lying|hiding|at|roughly|parked|swimming|flying|now]?",
        "[Point out|Spot|Say|Find out|I wonder] where {the} {is_}.",
        "Where did [someone|they|you|he|she] [put|drop|leave|draw|place|hide] {the}?",
        "[I cannot find|I lost|I can't see] {the}. Where [should I look|to look|]?",
        "[In|On] [which|what] [spot|place|section] [of the picture|] {is_} {the}?",
        "Where [does|do] {the} [sit|stand|lie|grow|swim|fly|hide] [here|in the image|]?",
        "Roughly where {is_} {the} [at|]?",
        "{the} [sits|stands|lies|is found] where?",
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
        "{is_} {the} {way} {other}?",
        "{is_} {the} [placed|located|somewhere|] {way} {other} [in the picture|in the image|]?",
        "Would you say {the} {is_} {way} {other}?",
        "Do you see {the} {way} {other}?",
        "{the} {way} {other} [or not|right|correct|]?",
        "{is_} {the} [really|maybe|perhaps] {way} {other}?",
        "[I think|I say|Do you think] {the} {is_} {way} {other}[, right|]?",
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
        "{the} and {other}: [where is the first one|how do they lie]?",
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
}
