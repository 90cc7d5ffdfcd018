"""What a model's answers rest on, over any `Engine`: asking back, withholding, citing."""

from memvr_integrations.grounding.abstaining import CANNOT_TELL, Abstaining
from memvr_integrations.grounding.choice import YES_NO, ashares, shares

__all__ = ["CANNOT_TELL", "YES_NO", "Abstaining", "ashares", "shares"]
