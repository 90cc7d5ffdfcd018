"""One model in memory: found, loaded, its prompts and its pictures."""
