"""`scenes-135m`: the box model's tower before a real language model, SmolLM2-135M-Instruct."""
