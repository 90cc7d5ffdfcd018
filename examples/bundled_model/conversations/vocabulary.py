"""Words of the questions beside the classes: groups, usual colours, things that nobody drew."""

# What is in one colour wherever it is drawn. Of all else that isn't painted no colour is said.
USUAL: dict[str, str] = {
    name: color
    for color, names in {
        "yellow": "banana cheese lemon moon star sun",
        "orange": "carrot orange",
        "red": "strawberry tomato",
        "green": "cactus tree",
        "pink": "pig",
        "purple": "grapes",
        "blue": "whale",
        "white": "cloud sheep",
    }.items()
    for name in names.split()
}

_ANIMALS = """
cow pig sheep horse chicken duck dog rabbit mouse cat fish whale octopus crab turtle bird penguin
bee butterfly snail elephant tiger monkey snake
"""
_FRUIT = "apple banana orange lemon grapes strawberry watermelon pineapple"
_FOOD = f"bread cheese pizza cookie cake carrot tomato {_FRUIT}"

# What a word for many classes takes in, and what some would count in and some not.
GROUPS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    group: (frozenset(members.split()), frozenset(unclear.split()))
    for group, members, unclear in (
        ("animal", _ANIMALS, ""),
        (
            "vehicle",
            "tractor car bus truck bicycle motorcycle train boat airplane rocket",
            "balloon",
        ),
        ("fruit", _FRUIT, "tomato cake"),
        ("plant", "tree flower cactus", "mushroom house"),
        ("insect", "bee butterfly", "snail"),
        ("vegetable", "carrot", "tomato mushroom pizza"),
        ("food", _FOOD, f"mushroom {_ANIMALS}"),
    )
}

_STRANGERS = """
person man woman child girl boy baby zebra unicorn giraffe lion bear wolf fox deer goat camel hippo
panda crocodile lizard frog shark dolphin lobster owl parrot eagle swan spider ant dragon dinosaur
robot ghost chair table sofa desk lamp mirror door ladder bridge castle tower tent river mountain
road volcano piano violin drum trumpet sword crown ring necklace glove jacket sock backpack suitcase
hammer saw nail screwdriver bucket broom pan pot glass sandwich burger egg pear cherry peach potato
onion helicopter submarine ambulance tank skateboard kite flag map newspaper computer printer radio
candle
"""
_HELD_OUT_STRANGERS = """
kangaroo rhino flamingo wardrobe carpet harp trombone pillow waterfall raft broccoli kettle sled
statue wizard
"""
# Things that no scene shows: a model that has no word for them should say so.
STRANGERS = tuple(_STRANGERS.split())
HELD_OUT_STRANGERS = tuple(_HELD_OUT_STRANGERS.split())


def is_or_are(name: str, count: int = 1) -> str:
    """The verb after so many of a class: "cup" -> "is", "scissors" -> "are"."""
    return "are" if count > 1 or name in ("grapes", "scissors") else "is"
