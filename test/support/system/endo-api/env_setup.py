"""Makes a .env for a developer."""
import os
from pathlib import Path

module = os.environ["DJANGO_SETTINGS_MODULE_DEVELOPMENT"]
Path(".env").write_text(f"DJANGO_SETTINGS_MODULE={module}\nDJANGO_DEBUG=True\n", encoding="utf-8")
