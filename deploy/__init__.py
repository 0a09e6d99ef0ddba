"""Running Thalweg: the local stack, containers."""
