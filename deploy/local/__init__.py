"""The local stack of `thalweg up`."""
