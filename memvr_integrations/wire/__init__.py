"""What the integrations share: OpenAI's forms, options, requests, answers, retries, reports."""
