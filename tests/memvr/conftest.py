"""Random tries that come out the same every time, and that no clock ends."""

from hypothesis import settings

settings.register_profile("suite", deadline=None, derandomize=True, database=None, max_examples=25)
settings.load_profile("suite")
