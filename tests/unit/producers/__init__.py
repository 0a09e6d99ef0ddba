"""Producers without a broker: the fraud stream, files, replay, pacing."""
