"""What a model's answers rest on, over any `Engine`: asking back, withholding, citing."""
