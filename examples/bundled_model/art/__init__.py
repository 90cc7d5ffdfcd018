"""Icon sets as sprites, and ways to draw them again or spoil them."""
