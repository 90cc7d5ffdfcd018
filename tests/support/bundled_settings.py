"""MemVR settings and themes that the tests of the bundled model share."""

from memvr_integrations.memvr import MemVRConfig

ALWAYS = MemVRConfig(starting_layer=2, ending_layer=5, entropy_threshold=0.0, retracing_ratio=0.2)

FIRST_THEMES = ("kitchen", "farm")  # enough for tests of what goes for all themes
