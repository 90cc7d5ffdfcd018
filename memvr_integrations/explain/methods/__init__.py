"""Ways to make a map, a file each: a token's score, traced to the visual tokens."""

from memvr_integrations.explain.mapped import ExplainMethod
from memvr_integrations.explain.methods.attention_gradient import attention_gradient
from memvr_integrations.explain.methods.logit_lens import logit_lens
from memvr_integrations.explain.methods.method import Method
from memvr_integrations.explain.methods.occlusion import occlusion
from memvr_integrations.explain.methods.retracing import retracing
from memvr_integrations.explain.methods.route import route

METHODS: dict[ExplainMethod, Method] = {
    "attention_gradient": attention_gradient,
    "occlusion": occlusion,
    "logit_lens": logit_lens,
    "route": route,
    "retracing": retracing,
}
