"""The bench: ratios between ways of scoring a Kafka topic (`python -m tests.bench`)."""
