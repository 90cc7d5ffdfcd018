"""How people ask: patterns, alternatives, slips of the fingers."""
