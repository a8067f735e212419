"""Property tests may be slow on a busy machine; only a wrong value fails them."""

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
