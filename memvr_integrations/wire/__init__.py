"""What the integrations share: OpenAI's forms, options, requests, answers, retries, reports.

Nothing here guesses or drops: what can't be used is a `RequestError`, a picture an `ImageError`, a
setting a `ConfigError`, and each says what to give instead.
"""
