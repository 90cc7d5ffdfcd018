"""An explanation as something to look at: a page, a picture, coloured blocks in a terminal."""
