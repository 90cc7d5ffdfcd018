"""The examination of the model in the box, and its pages."""
