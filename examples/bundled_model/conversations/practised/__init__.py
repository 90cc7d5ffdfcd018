"""Kinds of conversations that finished weights are trained on: languages, records, references."""
