"""Settings of the tests: the product's own, on servers started for this test run alone.

pytest-django reads the settings before any of our plugins could start a server, so they are
started here. Worker processes of pytest inherit the addresses and start none.
"""

from __future__ import annotations

from tests import services

services.start()

from agentops.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Nothing is collected for tests; static files come straight from their sources.
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = True
# Tests are about other things; those of policies say what they want.
AGENTOPS_UNRULED = "allow"
