"""The exam of what is practised: tools, schemas, pairs, references, languages."""
