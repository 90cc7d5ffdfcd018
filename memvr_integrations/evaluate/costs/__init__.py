"""What MemVR costs in time and memory, on models of any shape."""
