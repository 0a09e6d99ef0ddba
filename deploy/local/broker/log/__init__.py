"""A partition on disk: segments, recovery, producers' state, retention and compaction."""
