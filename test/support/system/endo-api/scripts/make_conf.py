"""Writes conf/db.yaml from its template, with the password in it."""
import os
from pathlib import Path

import yaml

config = yaml.safe_load((Path(os.environ["CONF_TEMPLATE_DIR"]) / "db.yaml").read_text(encoding="utf-8"))
config["password"] = Path(config["password_file"]).read_text(encoding="utf-8").strip()
target = Path(os.environ["DB_CONFIG_FILE"])
target.write_text(yaml.safe_dump(config), encoding="utf-8")
target.chmod(0o640)
