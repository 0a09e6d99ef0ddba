"""Detectors on a stream: values go in by batches of any size, alarms come out with their rows."""
