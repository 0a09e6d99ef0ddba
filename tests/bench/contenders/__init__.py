"""The contenders: programs that score a topic, processes started with the same arguments."""
