"""Drift: sketches of windows, detectors with a stated false-alarm rate, live quality, policies.

Pure: arrays and values in, values out. Streams, files and storage are other packages' business.
"""
