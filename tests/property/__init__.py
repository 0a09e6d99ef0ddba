"""Property tests. No deadlines: this machine may be busy, and a slow example is no wrong one."""

from hypothesis import settings

settings.register_profile("thalweg", deadline=None)
settings.load_profile("thalweg")
