"""The one page: who answers, with which settings, from which database."""
import os
from hashlib import sha256

from django.conf import settings
from django.db import connection
from django.http import JsonResponse
from django.urls import path

from .models import Visit

ENVIRONMENT = ["DATA_DIR", "CONF_DIR", "CONF_TEMPLATE_DIR", "DB_CONFIG_FILE", "DB_PWD_FILE", "HTTP_PROTOCOL", "BASE_URL"]
WHO = "SELECT current_user, host(inet_server_addr()), inet_server_port()"


def visit(request):
    Visit.objects.create()
    role = address = port = None
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(WHO)
            role, address, port = cursor.fetchone()
    return JsonResponse(
        {
            "process": os.getpid(),
            "settings": os.environ["DJANGO_SETTINGS_MODULE"],
            "debug": settings.DEBUG,
            "key": sha256(settings.SECRET_KEY.encode()).hexdigest(),
            "vendor": connection.vendor,
            "role": role,
            "address": address,
            "port": port,
            "visits": Visit.objects.count(),
            "environment": {name: os.environ.get(name) for name in ENVIRONMENT},
        }
    )


urlpatterns = [path("", visit)]
