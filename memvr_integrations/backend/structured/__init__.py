"""JSON schemas and tool calls, kept token by token: `schemas` > `grammar` > `constraint`."""
