"""Pictures of one colour, and an engine that sees it: collections without a model."""

import PIL.Image
from scripted_engine import ScriptedEngine, text_of

from memvr_integrations.backend.images import load_image
from memvr_integrations.llama_index import ImageCollectionIndex, MemVRMultiModalLLM

COLORS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 230), "white": (250,) * 3}


def color_of(part):
    """The colour of a request's image."""
    pixel = load_image(part.source).resize((1, 1)).getpixel((0, 0))
    return min(COLORS, key=lambda c: sum(abs(a - b) for a, b in zip(COLORS[c], pixel, strict=True)))


def answer(request):
    """A caption, or what the last message's pictures are."""
    seen = [color_of(part) for part in request.images]
    if "Describe" in text_of(request.messages[-1]):
        return f"A field that is {seen[0]}."
    return f"I see {', '.join(seen)}."


class SeeingEngine(ScriptedEngine):
    """Says yes to a question that holds the colour of its picture, and to no other."""

    def __init__(self, script=answer):
        super().__init__(script)

    def score(self, request, answers, *, exclusive=True):
        self.requests.append(request)
        [image] = request.images
        yes = color_of(image) in text_of(request.messages[-1])
        return [-0.1 if word == ("Yes" if yes else "No") else -3.0 for word in answers]


def paint(folder, names):
    """A file for each name, which is a colour and perhaps more after it."""
    for name in names:
        folder.mkdir(exist_ok=True)
        PIL.Image.new("RGB", (9, 7), COLORS[name.split()[0]]).save(folder / f"{name}.png")


def collection(folder, engine, **options):
    """An index over fields of three colours."""
    paint(folder, ["red", "green", "blue"])
    llm = MemVRMultiModalLLM(model="scripted", engine=engine, **options)
    made = ImageCollectionIndex.from_folder(folder, llm=llm, show_progress=False)
    engine.requests.clear()
    return made
