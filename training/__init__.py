"""Training: from labelled rows to a model directory that `inference` can load."""
