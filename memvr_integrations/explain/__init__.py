"""Where an answer came from: maps over the pictures, how far they can be trusted, and a page."""

from memvr_integrations.explain.explaining import ExplainConfig
from memvr_integrations.explain.explanation import Explanation
from memvr_integrations.explain.mapped import ExplainedToken, MappedAnswer
from memvr_integrations.explain.regions import Regions

__all__ = ["ExplainConfig", "ExplainedToken", "Explanation", "MappedAnswer", "Regions"]
