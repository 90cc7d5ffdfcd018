"""Collections of pictures, whichever framework holds them: sources, captions, search."""
