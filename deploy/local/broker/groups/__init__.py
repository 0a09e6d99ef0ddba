"""Consumer groups (the classic protocol) and committed offsets."""
