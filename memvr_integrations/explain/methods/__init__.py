"""Ways to make a map, a file each: a token's score, traced to the visual tokens."""
