"""From logits to tokens: one batch of rows, each with its own way to choose."""
