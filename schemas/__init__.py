"""The contract between all processes: events, topics, codecs, feature schema, errors, settings."""
