"""Keys and values of rows: slots, masks over them, calls that fill them, prefixes kept."""
