"""The Kafka wire format: primitives, tables of messages, and their codecs."""
