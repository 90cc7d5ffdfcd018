"""Conversations in which tools can be called: what is offered, said, called and answered."""
