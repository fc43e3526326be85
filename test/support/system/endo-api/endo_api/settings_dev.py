"""The settings of a developer: SQLite."""
from .settings_base import *

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA_DIR / "db.sqlite3"}}

try:
    from local_settings import *
except ImportError:
    pass
