"""Questions of one's own: a CSV or JSONL file with pictures beside it."""
