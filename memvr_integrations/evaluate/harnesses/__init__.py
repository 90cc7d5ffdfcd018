"""Plug-ins for lmms-eval and VLMEvalKit."""
