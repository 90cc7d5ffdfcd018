"""Many callers of one model: queue, threads, streams."""
