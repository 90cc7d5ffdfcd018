"""What several scorers share: yes and no, COCO's nouns, and answers made comparable."""
