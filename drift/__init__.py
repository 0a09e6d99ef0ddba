"""Drift: sketches, statistics and thresholds (issue to come); nothing here yet."""
