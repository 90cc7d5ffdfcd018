"""Asking a benchmark in several ways, and reporting what came out."""
