"""Images with captions on disk, and how they are found."""
