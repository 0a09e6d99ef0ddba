"""Messages as they travel, byte for byte."""
