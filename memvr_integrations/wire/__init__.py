"""What the integrations share: reports, retries, schemas of classes, preset files."""
