"""The LLM: options, messages, answers, tools, objects."""

from memvr_integrations.llama_index.llm.model import MemVRMultiModalLLM

__all__ = ["MemVRMultiModalLLM"]
