"""What is trained one after the other."""
