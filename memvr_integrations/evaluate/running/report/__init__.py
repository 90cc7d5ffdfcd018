"""What an evaluation found: in words, as tables, as a page, and question by question."""
