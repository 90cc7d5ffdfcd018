"""JSON schemas and tool calls as grammars, kept token by token."""
