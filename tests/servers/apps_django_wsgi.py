"""The Django service, for servers that want the application itself."""

import apps_django

app = apps_django.wsgi()
