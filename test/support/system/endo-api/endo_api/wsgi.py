"""The application, as its server imports it."""
import os

from django.core.wsgi import get_wsgi_application

assert os.environ.get("DJANGO_SETTINGS_MODULE"), "DJANGO_SETTINGS_MODULE is not set"
application = get_wsgi_application()
