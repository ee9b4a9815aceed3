"""All settings, flat, from the environment. ``docs/reference/settings.md`` explains each one.

What the environment does not name comes from the data folder of ``bin/up``, where there is one,
so that ``manage.py shell`` beside a running ``bin/up`` talks to the same servers.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import environ
from csp.constants import NONE, SELF

from agentops import environment, logs
from agentops.launcher import home

BASE_DIR = Path(__file__).resolve().parent.parent
HOME = home.here()
for _name, _value in HOME.defaults().items():
    os.environ.setdefault(_name, _value)
env = environ.Env()

# --- Who may reach us -----------------------------------------------------------------------

DEBUG: bool = env.bool("AGENTOPS_DEBUG", default=False)
AGENTOPS_PUBLIC_URL: str = env.str("AGENTOPS_PUBLIC_URL", default="").rstrip("/")
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=list(environment.LOOPBACK))
AGENTOPS_PRODUCTION: bool = env.bool(
    "AGENTOPS_PRODUCTION", default=not all(map(environment.is_loopback, ALLOWED_HOSTS))
)
# What people call this installation; in page titles and mail subjects.
AGENTOPS_INSTANCE: str = env.str(
    "AGENTOPS_INSTANCE", default=urlsplit(AGENTOPS_PUBLIC_URL).hostname or "this machine"
)
SECRET_KEY: str = env.str("SECRET_KEY", default="")
AGENTOPS_FIELD_KEYS: list[str] = env.list("AGENTOPS_FIELD_KEYS", default=[])
if AGENTOPS_PRODUCTION:
    environment.refuse_unsafe(
        debug=DEBUG,
        secret_key=SECRET_KEY,
        hosts=env.list("ALLOWED_HOSTS", default=[]),
        field_keys=AGENTOPS_FIELD_KEYS,
    )
# Only this machine can reach us and nothing was started here yet: keys for this process alone.
SECRET_KEY = SECRET_KEY or environment.throwaway_key() + environment.throwaway_key()
FIELD_ENCRYPTION_KEY = AGENTOPS_FIELD_KEYS or [environment.throwaway_key()]

_https = AGENTOPS_PUBLIC_URL.startswith("https://")
CSRF_TRUSTED_ORIGINS = [AGENTOPS_PUBLIC_URL] if AGENTOPS_PUBLIC_URL else []
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _https else None
SECURE_SSL_REDIRECT = _https
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _https
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = _https
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
# Two servers on one machine share its cookies; the name keeps their sessions apart.
SESSION_COOKIE_NAME = "__Host-agentops_session" if _https else "agentops_session"
CSRF_COOKIE_NAME = "__Host-agentops_csrf" if _https else "agentops_csrf"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_EXPIRE_AT_BROWSER_CLOSE = False
SESSION_ENGINE = "django.contrib.sessions.backends.db"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        # Pictures of ours and what a page holds itself: words of a model load nothing from afar.
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# --- What the project is made of ------------------------------------------------------------

INSTALLED_APPS = [
    "agentops.apps.AgentopsConfig",
    "agentops.accounts.apps.AccountsConfig",
    "credentials.apps.CredentialsConfig",
    "runs.apps.RunsConfig",
    "approvals.apps.ApprovalsConfig",
    "agentops.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "django_filters",
    "django_celery_beat",
    "channels",
    "axes",
    "corsheaders",
    "csp",
    "django_htmx",
    "django_structlog",
    "encrypted_model_fields",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "agentops.api.request_id.RequestIdMiddleware",
    "agentops.api.tracing.TraceMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "agentops.accounts.middleware.ChoosePasswordMiddleware",
    "agentops.accounts.middleware.SecondFactorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "agentops.views.shell.ZoneMiddleware",
    "axes.middleware.AxesMiddleware",
    "agentops.api.repeating.RepeatingMiddleware",
]
ROOT_URLCONF = "agentops.urls"
ASGI_APPLICATION = "agentops.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "agentops.views.shell.shell",
            ],
        },
    }
]

# --- Where things are kept ------------------------------------------------------------------

AGENTOPS_DATA: Path = HOME.folder
DATABASE_URL: str = env.str("DATABASE_URL", default="postgres://agentops@localhost/agentops")
REDIS_URL: str = env.str("REDIS_URL", default="redis://localhost:6379/0")
AGENTOPS_DB_POOL: int = env.int("AGENTOPS_DB_POOL", default=16)
DATABASES = {
    "default": environment.database(
        DATABASE_URL,
        pool_size=AGENTOPS_DB_POOL,
        application_name=env.str("AGENTOPS_PROCESS", default="agentops"),
    )
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL]},
    }
}
STATIC_URL = "/static/"
STATIC_ROOT = env.path("AGENTOPS_STATIC", default=str(HOME.folder / "static"))()
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
MEDIA_ROOT = HOME.folder / "files"

# --- People ---------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "agentops.accounts.factors.People",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "signed-out"
CSRF_FAILURE_VIEW = "agentops.views.failures.form_too_old"
AXES_LOCKOUT_TEMPLATE = "account/locked_out.html"
# Ten wrong passwords lock a name at an address for a quarter of an hour; nobody is locked out by
# others who guess from elsewhere.
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True

# Whether approvers and administrators sign in with a second factor; all others may.
AGENTOPS_MFA_REQUIRED: bool = env.bool("AGENTOPS_MFA_REQUIRED", default=False)
ACCOUNT_ADAPTER = "agentops.accounts.factors.SignInAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_SESSION_REMEMBER = True
# Guesses are counted in the database by axes, passwords and codes alike.
ACCOUNT_RATE_LIMITS = False
ACCOUNT_REAUTHENTICATION_TIMEOUT = 15 * 60
MFA_ADAPTER = "agentops.accounts.factors.FactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_FORMS = {
    "authenticate": "agentops.accounts.factors.CodeForm",
    "reauthenticate": "agentops.accounts.factors.CodeAgainForm",
}
MFA_TOTP_TOLERANCE = 1
MFA_RATE_LIMITS = False
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not AGENTOPS_PRODUCTION
# What processes of the web share for moments, such as codes that were used: in the database, so
# that a broker that is gone closes no door and opens none.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "web_cache",
        # Never so many within the minute and a half for which a used code is remembered.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

# --- Doorbells ------------------------------------------------------------------------------

CELERY_BROKER_URL: str = env.str("CELERY_BROKER_URL", default=environment.broker(REDIS_URL))
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {"confirm_publish": True}
    if CELERY_BROKER_URL.startswith(("amqp", "pyamqp"))
    else {
        "visibility_timeout": 60,
        "unacked_restore_interval": 5,
        "health_check_interval": 25,
        "socket_keepalive": True,
        # A bell that cannot be rung now is rung by the sweep; nobody waits for it.
        "socket_connect_timeout": 2,
        "retry_on_timeout": False,
    }
)
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_STORE_ERRORS_EVEN_IF_IGNORED = False
CELERY_TASK_ACKS_LATE = False
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_DISABLE_PREFETCH = not CELERY_BROKER_URL.startswith(("amqp", "pyamqp"))
CELERY_WORKER_POOL = "threads"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "agentops.beat:SingleScheduler"
DJANGO_CELERY_BEAT_TZ_AWARE = True

# --- Engine ---------------------------------------------------------------------------------

AGENTOPS_AGENTS: list[str] = env.list(
    "AGENTOPS_AGENTS",
    default=[
        f"agentops.agents.{name}"
        for name in (
            "dependency_audit",
            "support_desk",
            "research_digest",
            "storyteller",
            "hello",
        )
    ],
)
AGENTOPS_QUEUES: list[str] = env.list("AGENTOPS_QUEUES", default=["default"])
AGENTOPS_CONCURRENCY: int = env.int("AGENTOPS_CONCURRENCY", default=64)
# How many runs of one person hold workers at once; 0: as many as there are.
AGENTOPS_MAX_RUNNING_PER_PERSON: int = env.int("AGENTOPS_MAX_RUNNING_PER_PERSON", default=0)
AGENTOPS_LEASE_SECONDS: float = env.float("AGENTOPS_LEASE_SECONDS", default=30)
AGENTOPS_HEARTBEAT_SECONDS: float = env.float("AGENTOPS_HEARTBEAT_SECONDS", default=5)
AGENTOPS_TICK_SECONDS: float = env.float("AGENTOPS_TICK_SECONDS", default=5)
AGENTOPS_DRAIN_SECONDS: float = env.float("AGENTOPS_DRAIN_SECONDS", default=25)
# A loop that does not turn for so long ends its process; so do so many threads that never return.
AGENTOPS_STUCK_SECONDS: float = env.float("AGENTOPS_STUCK_SECONDS", default=30)
AGENTOPS_LEAK_LIMIT: int = env.int("AGENTOPS_LEAK_LIMIT", default=32)
AGENTOPS_RELEASE: str = env.str("AGENTOPS_RELEASE", default="")
AGENTOPS_CRASH_LIMIT: int = env.int("AGENTOPS_CRASH_LIMIT", default=5)
AGENTOPS_MAX_PAYLOAD_BYTES: int = env.int("AGENTOPS_MAX_PAYLOAD_BYTES", default=8 * 1024**2)
# What an MCP server first says of a tool: “accept” it, or “ask” an operator.
AGENTOPS_MCP_FIRST_USE: str = env.str("AGENTOPS_MCP_FIRST_USE", default="accept")
# What every sweep does besides its own duties, each in its own transaction.
AGENTOPS_DUTIES: list[str] = [
    "approvals.duties.sweep", "approvals.attention.keep", "approvals.escalation.sweep",
]  # fmt: skip
# What tabs can watch besides runs and conversations, by the first word of the topic.
AGENTOPS_TOPICS: dict[str, str] = {
    "inbox": "approvals.live.InboxList", "request": "approvals.live.RequestPage",
}  # fmt: skip
# What holds for tools that change something while no policy was ever saved: allow, ask or deny.
AGENTOPS_UNRULED: str = env.str("AGENTOPS_UNRULED", default="ask")
# For how long a standing permission holds at most.
AGENTOPS_GRANT_HOURS: float = env.float("AGENTOPS_GRANT_HOURS", default=8)
AGENTOPS_RETENTION_DAYS: int = env.int("AGENTOPS_RETENTION_DAYS", default=90)
# What every attempt of a step has to pass, asked in this order.
AGENTOPS_GATES: list[str] = env.list(
    "AGENTOPS_GATES", default=["runs.engine.stops.StopGate", "approvals.gate.ApprovalGate"]
)
# Conversations without a message for so many days are erased; 0: they stay as long as their runs.
AGENTOPS_CONVERSATION_DAYS: int = env.int("AGENTOPS_CONVERSATION_DAYS", default=0)
DATA_UPLOAD_MAX_MEMORY_SIZE = AGENTOPS_MAX_PAYLOAD_BYTES + 64 * 1024

# --- API ------------------------------------------------------------------------------------

# Requests per second of one token or person, and how many may come at once; 0: no limit.
AGENTOPS_RATE_LIMIT: float = env.float("AGENTOPS_RATE_LIMIT", default=100)
AGENTOPS_RATE_BURST: int = env.int("AGENTOPS_RATE_BURST", default=1000)
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "agentops.api.authentication.TokenAuthentication",
        "agentops.api.authentication.ConsoleSession",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["agentops.api.permissions.SignedIn"],
    "DEFAULT_SCHEMA_CLASS": "agentops.api.schema.AutoSchema",
    "DEFAULT_RENDERER_CLASSES": ["agentops.api.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["agentops.api.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": "agentops.api.pagination.NewestFirst",
    "DEFAULT_THROTTLE_CLASSES": [
        "agentops.api.limits.RateLimit",
        "agentops.api.repeating.Repetition",
    ],
    "EXCEPTION_HANDLER": "agentops.api.errors.handle",
    # Only the header decides the form of an answer.
    "URL_FORMAT_OVERRIDE": None,
}
# The beginning by which scanners of code and logs know our tokens.
REST_KNOX = {"TOKEN_TTL": None, "AUTO_REFRESH": False, "TOKEN_PREFIX": "agp_"}
KNOX_TOKEN_MODEL = "accounts.ApiToken"  # noqa: S105 - the name of a model
# Pages elsewhere whose browsers may call the API, with a token; never with a cookie of ours.
CORS_ALLOWED_ORIGINS: list[str] = env.list("AGENTOPS_BROWSER_ORIGINS", default=[])
CORS_URLS_REGEX = r"^/api/v1/"
CORS_ALLOW_HEADERS = [
    "accept", "authorization", "content-type", "idempotency-key", "last-event-id", "traceparent",
    "x-request-id",
]  # fmt: skip
CORS_EXPOSE_HEADERS = ["Location", "Retry-After", "X-Request-Id", "traceparent"]
SPECTACULAR_SETTINGS = {
    "TITLE": "Agent operations",
    "DESCRIPTION": "Start runs of agents, follow them, and say what people know.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "ENUM_NAME_OVERRIDES": {
        "RunStatus": "runs.models.RunStatus",
        "StepStatus": "runs.steps.StepStatus",
        "StopReason": "runs.models.StopReason",
        "WaitingFor": "runs.models.WaitingFor",
        "StopScope": "runs.models.StopScope",
        "MemoryScope": "runs.models.MemoryKind",
        "RequestState": "approvals.models.State",
        "RequestKind": "approvals.models.Kind",
        "RequestRisk": "approvals.models.Risk",
        "RequestOnExpiry": "approvals.models.OnExpiry",
        "RequestVerdict": "approvals.models.Verdict",
        "RuleEffect": "approvals.models.Effect",
    },
}

# --- Mail -----------------------------------------------------------------------------------

# Without a server, mail is kept in a maildir below the data folder and shown in the console.
EMAIL_URL: str = env.str("EMAIL_URL", default="")
vars().update(environment.email(EMAIL_URL))
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str(
    "AGENTOPS_MAIL_FROM",
    default=f"agentops@{urlsplit(AGENTOPS_PUBLIC_URL).hostname or 'localhost'}",
)

# --- Language and time ----------------------------------------------------------------------

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

# --- Logs -----------------------------------------------------------------------------------

AGENTOPS_LOG_FORMAT: str = env.str("AGENTOPS_LOG_FORMAT", default="json")
AGENTOPS_LOG_LEVEL: str = env.str("AGENTOPS_LOG_LEVEL", default="INFO").upper()
LOGGING = logs.configuration(AGENTOPS_LOG_FORMAT, AGENTOPS_LOG_LEVEL)
DJANGO_STRUCTLOG_CELERY_ENABLED = False
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = True
