"""What people ask about a scene, and what is true of it."""
