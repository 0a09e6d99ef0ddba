"""Emit and replay events: publisher SDK, synthetic fraud stream with known drift, file replay."""
