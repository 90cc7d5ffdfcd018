"""The laboratory that made the model in the box."""
