"""The drawn world: its words, its art, its scenes."""
