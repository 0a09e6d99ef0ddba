"""Live quality: metrics of labelled windows, and estimates of them until the labels come."""
