"""Decoding strategies, a file each: from a request's config to what its rows choose by."""

from memvr_integrations.backend.decoding.jobs import Job
from memvr_integrations.backend.decoding.strategies.contrastive import Contrastive
from memvr_integrations.backend.decoding.strategies.dola import DoLa
from memvr_integrations.backend.decoding.strategies.flb import FLB
from memvr_integrations.backend.decoding.strategies.icd import ICD
from memvr_integrations.backend.decoding.strategies.method import Method
from memvr_integrations.backend.decoding.strategies.opera import OPERA
from memvr_integrations.backend.decoding.strategies.plausible import Plausible
from memvr_integrations.backend.decoding.strategies.rudder import Rudder
from memvr_integrations.backend.decoding.strategies.vcd import VCD
from memvr_integrations.backend.decoding.strategies.yes_bias import YesBias
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.backend.hosting.prompts.writer import Prompt
from memvr_integrations.errors import RequestError, UnsupportedModelError
from memvr_integrations.types import Request
from memvr_integrations.types.decoding import ContrastConfig, DecodingConfig

METHODS: dict[str, type[Method[DecodingConfig]]] = {
    "vcd": VCD,
    "icd": ICD,
    "dola": DoLa,
    "contrastive": Contrastive,
    "flb": FLB,
    "opera": OPERA,
    "rudder": Rudder,
    "yes-bias": YesBias,
}
"""By the name of their settings, `types.decoding.STRATEGIES`."""


def method_of(host: Host, config: DecodingConfig) -> Method[DecodingConfig]:
    """A strategy on a model."""
    if isinstance(config, ContrastConfig) and config.control:
        return Plausible(host, config)
    return METHODS[config.name](host, config)


def second_prompt(host: Host, job: Job) -> Prompt | None:
    """What the second stream of a job reads; None where it reads the same, or there is none.

    Raises:
        RequestError: The prompt can't be written.
        ContextLengthError: It is longer than the model that reads it can.
    """
    config = job.decoding
    return None if config is None else method_of(host, config).second_prompt(job)


def at_work(host: Host, request: Request, *, scored: bool = False) -> DecodingConfig | None:
    """The strategy that will answer a request, ready to run; None decodes plainly.

    With `scored` the answer is given, and its probability wanted.

    Raises:
        RequestError: The request wants something that the strategy can't do.
        UnsupportedModelError: The model lacks what the strategy needs.
        ConfigError: Its settings don't fit the model.
    """
    config = request.strategy
    if config is None or (config.needs_image and not request.images):
        return None
    method = method_of(host, config)
    if host.unsupported is not None and not method.needs_only_logits:
        raise UnsupportedModelError(
            f"decoding={config.name!r} needs a second run or the inner layers of the model, and "
            f"{host.name} decodes plainly only: {host.unsupported}"
        )
    if config.whole:
        _check_whole(config, request, scored=scored)
    method.check()
    return config


def _check_whole(config: DecodingConfig, request: Request, *, scored: bool) -> None:
    sampling = request.sampling
    wanted = {
        f"n={sampling.n}": sampling.n > 1,
        f"temperature={sampling.temperature}": not sampling.greedy,
        f"repetition_penalty={sampling.repetition_penalty}": sampling.repetition_penalty != 1,
        f"presence_penalty={sampling.presence_penalty}": sampling.presence_penalty != 0,
        f"frequency_penalty={sampling.frequency_penalty}": sampling.frequency_penalty != 0,
        "logit_bias": bool(sampling.logit_bias),
        f"min_tokens={sampling.min_tokens}": sampling.min_tokens > 0,
        f"top_logprobs={sampling.top_logprobs}": sampling.top_logprobs > 0,
        "a schema or tools": request.response_format is not None or bool(request.callable_tools),
        "the score of a given answer": scored,
        "MemVR (memvr=None leaves it out)": bool(request.images)
        and request.memvr is not None
        and request.memvr is not False,
    }
    refused = [what for what, asked in wanted.items() if asked]
    if refused:
        raise RequestError(
            f"decoding={config.name!r} searches for one likeliest answer, and takes back what it "
            f"tried; it does not go with {', '.join(refused)}. Leave that out, or choose another "
            "strategy."
        )
