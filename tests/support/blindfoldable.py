"""A scripted model that a blindfold can be put on: what it says follows from what it sees."""

from types import SimpleNamespace

from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.memvr.arming.anatomy import find_anatomy


class BlindfoldableModel:
    """Sees; blindfolded says yes; says what is there again when it retraces the right image."""

    name = "scripted"
    layers = 12
    preset = MemVRConfig(starting_layer=0, ending_layer=2, entropy_threshold=0.75)

    def __init__(self, model, scenes):
        self.model = model
        self._layer = find_anatomy(model).layers[0]
        self._truth = {
            (id(one.images[0]), one.text): scenes.truths[one.id]
            for one in scenes.questions
            if one.id in scenes.truths
        }
        self.asked = 0
        self.others = []
        self.where = None  # after which layer retracing brings anything; anywhere

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def generate(self, requests):
        self.asked += len(requests)
        return [self._answer(one) for one in requests]

    def _answer(self, request):
        picture, question = request.messages[0].content
        truth = self._truth[id(picture.source), question.text]
        blind = bool(self._layer._forward_pre_hooks)
        memvr = request.memvr
        if memvr is not None and memvr.control == "shuffled":
            self.others.append((id(picture.source), id(request.evidence[0].source)))
        brought = memvr is not None and memvr.control is None and memvr.entropy_threshold == 0
        brought = brought and self.where in (None, memvr.starting_layer)
        said = truth if not blind or brought else True
        usage = SimpleNamespace(completion_tokens=1)
        text = "Yes" if said else "No"
        return SimpleNamespace(text=text, usage=usage, retraced=1, unsureness=0.1)
