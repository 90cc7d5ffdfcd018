"""Requests as rows beside others, and each alone."""

from memvr_integrations.memvr import MemVRConfig

#: A window in which the model in the box triggers often.
EAGER = MemVRConfig(starting_layer=1, ending_layer=5, entropy_threshold=0.3, retracing_ratio=0.25)


def ids(answers):
    """The tokens of each answer."""
    return [[token.id for token in answer.tokens] for answer in answers]


def alone(backend, requests):
    """The answers of requests that came one after another."""
    return [backend.generate(request)[0] for request in requests]
