"""Answers from images that were found: synthesis, chat, citations, checks."""
