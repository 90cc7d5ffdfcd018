"""Whether explanations point at what they should: on drawn scenes, where it is known."""
