"""Tables of any kind become tasks: reading, schema, target, preprocessing, splits."""
