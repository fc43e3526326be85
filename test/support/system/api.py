"""A small API on Django that reads its database settings as endoreg-db-api does, migrates, and answers who it is."""
import os
from pathlib import Path

import django
import yaml
from django.conf import settings
from django.core.management import execute_from_command_line
from django.db import connection
from django.http import JsonResponse
from django.urls import path

config = yaml.safe_load(Path(os.environ["DB_CONFIG_FILE"]).read_text(encoding="utf-8"))
settings.configure(
    SECRET_KEY="test",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    DATABASES={
        "default": {
            "ENGINE": config["engine"],
            "NAME": config["name"],
            "USER": config["user"],
            "HOST": config["host"],
            "PORT": config["port"],
            "PASSWORD": Path(config["password_file"]).read_text(encoding="utf-8").strip(),
        }
    },
)
django.setup()


def who(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, current_database(), (SELECT count(*) FROM auth_permission)")
        role, database, permissions = cursor.fetchone()
    return JsonResponse({"role": role, "database": database, "permissions": permissions})


urlpatterns = [path("", who)]
# --fake-initial: Django records a migration after it is committed, and the power may go in between.
execute_from_command_line(["api.py", "migrate", "--fake-initial", "--verbosity", "0"])
execute_from_command_line(["api.py", "runserver", "--noreload", "127.0.0.1:8000"])
