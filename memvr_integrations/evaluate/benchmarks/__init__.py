"""Published benchmarks: questions, and scorers without a model."""
