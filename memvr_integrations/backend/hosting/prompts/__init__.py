"""From a conversation to tokens: how a chat template wants it, and that no text forges a turn."""
