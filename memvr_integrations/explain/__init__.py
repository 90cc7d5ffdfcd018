"""Where an answer came from: maps over the pictures, how far they can be trusted, and a page."""

from typing import TYPE_CHECKING

from memvr_integrations._lazy import lazily

if TYPE_CHECKING:
    from memvr_integrations.explain.config import ExplainConfig
    from memvr_integrations.explain.engine import Explainer
    from memvr_integrations.explain.explanation import Explanation
    from memvr_integrations.explain.mapped import ExplainedToken, MappedAnswer
    from memvr_integrations.explain.regions import Regions
else:
    __getattr__ = lazily(
        __name__,
        {
            "ExplainConfig": "config",
            "ExplainedToken": "mapped",
            "Explainer": "engine",
            "Explanation": "explanation",
            "MappedAnswer": "mapped",
            "Regions": "regions",
        },
    )

__all__ = [
    "ExplainConfig",
    "ExplainedToken",
    "Explainer",
    "Explanation",
    "MappedAnswer",
    "Regions",
]
