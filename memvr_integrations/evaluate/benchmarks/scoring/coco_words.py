"""What people call the things that COCO marks: its 80 categories in words.

The list was written for this package from what captions usually say. It differs from the list that
was published with CHAIR in rare words, above all for people and their trades, so CHAIR from here
compares with CHAIR from here, and only roughly with printed figures. As there, a colour can be
taken for a fruit ("orange"), and a mark ends a name ("wine, glasses" is no wine glass).
"""

from collections.abc import Iterator

from memvr_integrations.grounding.nouns import forms, named

_WORDS = """
person: man, woman, child, boy, girl, baby, infant, toddler, kid, teenager, adult, guy, lady,
  gentleman, male, female, mother, father, mom, dad, parent, son, daughter, brother, sister,
  grandmother, grandfather, friend, bride, groom, pedestrian, passenger, commuter,
  driver, rider, cyclist, bicyclist, biker, motorcyclist, skier, snowboarder, skateboarder, skater,
  surfer, swimmer, runner, jogger, player, batter, pitcher, catcher, umpire, referee, athlete,
  golfer, cowboy, farmer, worker, chef, baker, waiter, waitress, vendor, shopper,
  customer, officer, policeman, policewoman, cop, firefighter, fireman, soldier, businessman,
  businesswoman, teacher, student, doctor, nurse, patient, tourist, traveler, visitor, spectator,
  photographer, performer, musician, fisherman, human
bicycle: bike, tricycle
car: automobile, sedan, suv, minivan, van, hatchback, convertible, taxi, cab, jeep
motorcycle: motorbike, motor bike, motor cycle, moped, scooter, dirt bike
airplane: plane, aeroplane, air plane, aircraft, jet, airliner, jetliner, jumbo jet, biplane
bus: minibus, coach bus, school bus, trolleybus
train: locomotive, tram, trolley, subway train, streetcar, freight train
truck: lorry, pickup, pickup truck, fire truck, firetruck, fire engine, semi truck, tow truck
boat: ship, sailboat, rowboat, speedboat, motorboat, canoe, kayak, ferry, yacht, raft, barge,
  gondola, dinghy
traffic light: traffic signal, stop light, stoplight
fire hydrant: hydrant, fireplug
stop sign: stopsign
parking meter: parking metre
bench: park bench, pew
bird: pigeon, dove, seagull, gull, duck, duckling, goose, swan, parrot, parakeet, owl, eagle, hawk,
  crow, ostrich, pelican, sparrow, heron, flamingo, peacock, rooster, hen, chick, penguin
cat: kitten, kitty
dog: puppy, pup, hound, terrier, poodle, bulldog, labrador, retriever, dachshund, chihuahua
horse: pony, foal, colt, mare, stallion
sheep: lamb, ram, ewe
cow: cattle, bull, calf, ox, bison
elephant: baby elephant
bear: polar bear, grizzly, grizzly bear, panda, black bear, brown bear
zebra: baby zebra
giraffe: baby giraffe
backpack: back pack, knapsack, rucksack, book bag
umbrella: parasol
handbag: hand bag, purse, pocketbook, clutch bag
tie: necktie, bow tie, bowtie, neck tie
suitcase: suit case, luggage, briefcase
frisbee: flying disc
skis: ski
snowboard: snow board
sports ball: ball, baseball, basketball, football, volleyball, tennis ball, soccer ball,
  soccerball, sport ball
kite: parasail
baseball bat: bat
baseball glove: baseball mitt, mitt, catcher mitt
skateboard: skate board, longboard
surfboard: surf board, boogie board, body board, paddle board
tennis racket: racket, racquet, tennis racquet
bottle: wine bottle, beer bottle, water bottle
wine glass: wineglass, goblet, champagne glass, champagne flute
cup: mug, teacup, coffee cup, tea cup, coffee mug, paper cup
fork: salad fork
knife: butter knife, steak knife, pocketknife, pocket knife
spoon: teaspoon, tablespoon, soup spoon
bowl: soup bowl, salad bowl
banana: plantain
apple: green apple, red apple
sandwich: burger, hamburger, cheeseburger, sub sandwich, panini
orange: mandarin, tangerine, clementine
broccoli: broccoli floret
carrot: baby carrot
hot dog: hotdog, frankfurter, chili dog, corn dog
pizza: pepperoni pizza, cheese pizza, pizza pie
donut: doughnut, bagel
cake: cupcake, cheesecake, shortcake, birthday cake, wedding cake
chair: armchair, arm chair, stool, recliner, rocking chair, high chair, highchair, lawn chair,
  office chair, seat
couch: sofa, loveseat, love seat, settee, futon
potted plant: pot plant, houseplant, house plant, flowerpot, flower pot
bed: bunk bed, bunk, crib, cot, mattress
dining table: table, dinner table, kitchen table, coffee table, desk, tabletop, picnic table
toilet: urinal, commode, toilet seat, toilet bowl
tv: television, tv set, television set, tv screen, flat screen
laptop: laptop computer, notebook computer
mouse: computer mouse, wireless mouse
remote: remote control, controller, game controller, wii remote, wii controller, wiimote
keyboard: computer keyboard, keypad
cell phone: cellphone, mobile phone, phone, smartphone, smart phone, iphone
microwave: microwave oven
oven: stove, stove top, stovetop, range oven, stove top oven
toaster: toaster oven
sink: washbasin, wash basin, bathroom sink, kitchen sink
refrigerator: fridge, mini fridge
book: textbook, novel, cookbook
clock: alarm clock, wall clock
vase: flower vase
scissors: scissor, shears
teddy bear: teddy, stuffed bear, stuffed teddy bear
hair drier: hair dryer, hairdryer, hairdrier, blow dryer
toothbrush: tooth brush, electric toothbrush
"""

# These say something else than their last word does.
_NOTHING = ("home plate", "table tennis", "bus stop", "train station", "train track", "bus station")

_ANIMALS = (
    "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe",
    "duck", "goose", "lamb",
)  # fmt: skip
_VEHICLES = ("train", "jet", "plane", "airplane", "bus", "car", "van", "boat", "ferry")


def _groups() -> dict[str, tuple[str, ...]]:
    groups: dict[str, tuple[str, ...]] = {}
    for line in _WORDS.replace("\n  ", " ").strip().splitlines():
        category, _, words = line.partition(": ")
        groups[category] = (category, *words.split(", "))
    return groups


def _phrases() -> dict[str, str | None]:
    singular = {word: category for category, words in GROUPS.items() for word in words}
    # "A baby elephant" and "a passenger train" name nobody.
    singular |= {
        f"{who} {animal}": singular[animal] for who in ("baby", "adult") for animal in _ANIMALS
    }
    singular |= {f"passenger {vehicle}": singular[vehicle] for vehicle in _VEHICLES}
    found: dict[str, str | None] = {form: singular[one] for form, one in forms(singular).items()}
    return found | dict.fromkeys(forms(_NOTHING))


GROUPS: dict[str, tuple[str, ...]] = _groups()
"""The words for each category, the category's own name first."""

PHRASES: dict[str, str | None] = _phrases()
"""What each word, or several, mean: a category, or nothing though their last word does."""


def mentions(text: str) -> Iterator[str]:
    """The categories that a text names, in order, each as often as it is named."""
    yield from named(text, PHRASES)
