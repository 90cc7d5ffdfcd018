"""Decoding strategies, a file each: from a request's config to a rule on the batch's logits."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from memvr_integrations.backend.decoding.jobs import Job, Row
from memvr_integrations.backend.decoding.strategies.contrastive import contrastive
from memvr_integrations.backend.decoding.strategies.dola import dola, early_layers
from memvr_integrations.backend.decoding.strategies.flb import flb
from memvr_integrations.backend.decoding.strategies.icd import disturbed, icd
from memvr_integrations.backend.decoding.strategies.opera import answer_by_opera, last_attention
from memvr_integrations.backend.decoding.strategies.rudder import (
    attention_update,
    rudder,
    steered_layer,
)
from memvr_integrations.backend.decoding.strategies.rule import Rule, keep_plausible
from memvr_integrations.backend.decoding.strategies.vcd import vcd
from memvr_integrations.backend.decoding.strategies.yes_bias import yes_bias, yes_tokens
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.backend.hosting.prompts import Prompt
from memvr_integrations.errors import RequestError, UnsupportedModelError
from memvr_integrations.memvr.arming.anatomy import find_anatomy
from memvr_integrations.types import Request
from memvr_integrations.types.decoding import (
    ContrastConfig,
    ContrastiveConfig,
    DecodingConfig,
    DoLaConfig,
    FLBConfig,
    ICDConfig,
    OPERAConfig,
    RudderConfig,
    VCDConfig,
    YesBiasConfig,
)


def decoding_rule(host: Host, rows: Sequence[Row]) -> AbstractContextManager[Rule | None]:
    """The rule of the strategy that a running batch's rows share; None for plain decoding."""
    match rows[0].job.decoding:
        case ContrastConfig(control="plausibility", beta=beta):
            return nullcontext(lambda ids, own: keep_plausible(own, own, beta))
        case VCDConfig() as config:
            return vcd(host, rows, config)
        case ICDConfig() as config:
            return icd(host, rows, config)
        case ContrastiveConfig() as config:
            return contrastive(host, rows, config)
        case DoLaConfig() as config:
            return dola(host, rows, config)
        case FLBConfig() as config:
            return flb(host, rows, config)
        case RudderConfig() as config:
            return rudder(host, rows, config)
        case YesBiasConfig() as config:
            return yes_bias(host, rows, config)
    return nullcontext()


def answered_whole(host: Host, rows: Sequence[Row]) -> bool:
    """Answer a request whose strategy tells an answer at its end only; False for all others."""
    config = rows[0].job.decoding
    if isinstance(config, OPERAConfig):
        answer_by_opera(host, rows[0], config)
    return isinstance(config, OPERAConfig)


def second_prompt(host: Host, job: Job) -> Prompt | None:
    """What the second run of a job reads; None where it reads the same, or there is none.

    Raises:
        RequestError: The prompt can't be written.
        ContextLengthError: It is longer than the model that reads it can.
    """
    config = job.decoding
    if isinstance(config, ICDConfig) and config.contrasts:
        return host.fitted(disturbed(job.request, config.disturbance), job.pictures)
    if isinstance(config, ContrastiveConfig) and config.contrasts:
        return host.students.get(config.student).fitted(job.request, job.pictures)
    return None


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
    if host.unsupported is not None and not isinstance(config, FLBConfig | YesBiasConfig):
        raise UnsupportedModelError(
            f"decoding={config.name!r} needs a second run or the inner layers of the model, and "
            f"{host.name} decodes plainly only: {host.unsupported}"
        )
    if config.whole:
        _check_whole(config, request, scored=scored)
        last_attention(host)
    if isinstance(config, DoLaConfig):
        early_layers(host, config)
    elif isinstance(config, ContrastiveConfig) and config.contrasts:
        host.students.get(config.student)
    elif isinstance(config, RudderConfig):
        layers = find_anatomy(host.model).layers
        attention_update(host, layers[steered_layer(host, config)])
    elif isinstance(config, YesBiasConfig):
        yes_tokens(host)
    return config


def _check_whole(config: DecodingConfig, request: Request, *, scored: bool) -> None:
    sampling = request.sampling
    wanted = {
        f"n={sampling.n}": sampling.n > 1,
        f"temperature={sampling.temperature}": not sampling.greedy,
        f"repetition_penalty={sampling.repetition_penalty}": sampling.repetition_penalty != 1,
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
