"""What both kinds of settings share."""
import os
from pathlib import Path

MODULE = os.environ.get("DJANGO_MODULE")
DATA_DIR = Path(os.environ["DATA_DIR"])
BASE_URL = os.environ.get("BASE_URL")
SECRET_KEY = "known to everybody"
DEBUG = os.environ.get("DJANGO_DEBUG") == "True"
ALLOWED_HOSTS = ["localhost"]
ROOT_URLCONF = f"{MODULE}.urls"
WSGI_APPLICATION = "endo_api.wsgi.application"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "endo_api"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
