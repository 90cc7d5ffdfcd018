"""What MemVR costs."""
