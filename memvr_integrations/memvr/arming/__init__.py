"""MemVR around a Hugging Face model: found by its parts, followed by hooks."""
