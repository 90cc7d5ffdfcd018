"""What several scorers share: yes and no, nouns, and answers made comparable."""
