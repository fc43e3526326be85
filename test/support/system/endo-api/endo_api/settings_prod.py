"""The production settings: PostgreSQL, as conf/db.yaml has it. Nothing reads its password_file."""
import os
from pathlib import Path

import yaml

from .settings_base import *

config = yaml.safe_load(Path(os.environ["DB_CONFIG_FILE"]).read_text(encoding="utf-8"))
DATABASES = {
    "default": {
        "ENGINE": config["engine"],
        "NAME": config["name"],
        "USER": config["user"],
        "PASSWORD": config.get("password"),
        "HOST": config["host"],
        "PORT": config["port"],
    }
}

try:
    from local_settings import *
except ImportError:
    pass
