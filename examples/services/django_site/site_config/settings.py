"""Settings of the site, from environment variables."""

import os

SECRET_KEY = os.environ["DJANGO_SECRET_KEY"]
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "127.0.0.1,localhost,testserver").split(",")
INSTALLED_APPS = ["signup"]
ROOT_URLCONF = "site_config.urls"
MIDDLEWARE = ["django.middleware.common.CommonMiddleware", "signup.answers.Answers"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DATABASE", "site.db"),
        # SQLite has no row locks, so each transaction takes the whole file. Other databases need no option.
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 10},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

CALLWORKER_ACCOUNT = os.environ["CALLWORKER_ACCOUNT"]
PIN_KEY = os.environ["PIN_KEY"].encode()
