"""The only reader of the environment.

Entry points call `Settings.load()` once and hand values down; nothing else knows that an environment exists.
Secrets have no defaults. Business limits are not settings: they are versioned policies.
"""

import base64
import json
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, SettingsConfigDict
from temporalio.envconfig import ClientConfigProfile

from domain.errors import HoldfastError
from domain.outside import AllowList

if TYPE_CHECKING:
    from adapters.payload_codec import SealingCodec
    from schema.seals import Seals

PREFIX = "HOLDFAST_"
KEY_BYTES = 32
_environment = os.environ  # noqa: TID251 - here, and nowhere else
REFERENCE = Path(__file__).parent / "docs" / "reference" / "settings.md"


class SettingsInvalid(HoldfastError):
    """The process must not start. The message names variables and reasons, never values."""

    code = "settings_invalid"


class Settings(BaseSettings):
    """One process's settings, read once, frozen. Durations are ISO 8601 (`PT10S`) or seconds."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        hide_input_in_errors=True,
        env_ignore_empty=True,
        use_attribute_docstrings=True,
    )

    environment: Literal["development", "production"] = "production"
    """`development` reads `.env` from the working directory; `production` reads the real environment only."""

    database_url: str = Field(validation_alias=AliasChoices("DATABASE_URL"), repr=False, min_length=1)
    """Postgres, as the role the application runs under: `postgresql://user:password@host:5432/name`. A secret."""
    migration_database_url: str = Field("", validation_alias=AliasChoices("MIGRATION_DATABASE_URL"), repr=False)
    """Postgres, as the role that owns the tables. Empty: the same as `DATABASE_URL`. A secret."""
    database_pool_size: int = Field(10, ge=1, le=200)
    """Connections each process keeps to Postgres."""

    temporal_address: str = Field("localhost:7233", validation_alias=AliasChoices("TEMPORAL_ADDRESS"))
    """`host:port` of Temporal. `TEMPORAL_NAMESPACE`, `TEMPORAL_API_KEY`, `TEMPORAL_TLS*`, `TEMPORAL_PROFILE` and
    `TEMPORAL_CONFIG_FILE` are understood too, as the Temporal SDK documents them."""
    task_queue: str = Field("holdfast", min_length=1, max_length=200)
    """The task queue workers poll and the API starts workflows on."""
    worker_activities: int = Field(100, ge=1, le=10_000)
    """Activities one worker process runs at once."""
    worker_cached_workflows: int = Field(1000, ge=0, le=100_000)
    """Workflows one worker process keeps in memory; a miss replays the history."""
    deployment_name: str = Field(
        "", pattern=r"^[A-Za-z0-9_-]{0,100}$", validation_alias=AliasChoices("TEMPORAL_DEPLOYMENT_NAME")
    )
    """Which deployment a worker belongs to: runs are then pinned to the build they began on (`release.py`). Empty:
    every worker takes every run."""
    build_id: str = Field(
        "", pattern=r"^[A-Za-z0-9_.+-]{0,100}$", validation_alias=AliasChoices("TEMPORAL_WORKER_BUILD_ID")
    )
    """Which build a worker is, such as the commit or the image's tag. Required with `TEMPORAL_DEPLOYMENT_NAME`."""
    graceful_stop: timedelta = Field(timedelta(seconds=30), ge=timedelta(0))
    """How long requests and activities in flight may still take when a process is asked to stop."""

    id_key: SecretStr
    """Keys the hash that stands for caller-supplied names in ids. At least 32 characters, in production random ones
    (`openssl rand -hex 32`); the same in every process; changing it changes the ids of repeated requests. A secret."""
    encryption_keyset: SecretStr = SecretStr("")
    """Keys that seal what is stored secretly (webhook secrets, customers' own keys): a Tink AEAD keyset as JSON, its
    primary key seals, all of its keys open. Empty: no webhook can be created, and customers' words are stored in clear.
    A secret."""
    customer_plaintext: bool = False
    """Store customers' words in clear, as releases before they had keys of their own read them; what is sealed is read
    all the same. For the time such a release works beside this one."""
    payload_keys: SecretStr = SecretStr("")
    """Keys that seal what Temporal keeps: the base64 of 32 random bytes each, separated by commas, of which the first
    seals and all open; the same in every process. Required in production. Empty: Temporal keeps it in clear. A
    secret."""
    payload_plaintext: bool = False
    """Also read what Temporal kept before there were keys; what is written is sealed all the same. For the time of a
    change-over: without it, whatever is not sealed is refused."""
    audit_signing_key: SecretStr = SecretStr("")
    """Signs checkpoints of the audit (Ed25519): a private key as PEM, or base64 seeds of 32 bytes separated by commas,
    of which the first signs and all verify. Empty: the audit is sealed, and nothing outside vouches for it. A
    secret."""
    audit_checkpoint_dir: str = ""
    """Folder checkpoints of the audit are kept in, best on another machine's disk; the same for every worker and API
    process. Empty: `audit` in `HOLDFAST_DATA_DIR`."""
    tombstone_dir: str = ""
    """Folder that remembers which customers were erased, so that a restored backup brings nobody back; not part of the
    database's backups, and the same for every worker. Empty: `tombstones` in `HOLDFAST_DATA_DIR`."""
    local: bool = False
    """Accept calls without a key as the demo organisation's administrator. Refused unless `HOLDFAST_API_HOST` is
    a loopback address, and in production."""
    api_host: str = "127.0.0.1"
    """Address the API listens on."""
    api_port: int = Field(8000, ge=1, le=65535)
    """Port the API listens on."""
    chat_wait: timedelta = Field(timedelta(seconds=10), ge=timedelta(0), le=timedelta(minutes=2))
    """How long `POST /chat` waits for the answer before it returns 202 and a link."""
    export_stall: timedelta = Field(timedelta(seconds=30), ge=timedelta(seconds=1), le=timedelta(seconds=50))
    """How long a reader of an export may take nothing in. Then it is cut off: an export holds a connection to Postgres,
    which ends a transaction that is idle for a minute."""
    max_body_bytes: int = Field(65_536, ge=1024, le=64 * 1024 * 1024)
    """Larger request bodies are refused with 413."""
    rate_limit: int = Field(1000, ge=1, le=1_000_000)
    """Requests an organisation may send within `HOLDFAST_RATE_LIMIT_WINDOW`, over all its keys, unless it has a limit
    of its own (`organisations.rate_limit`). More is 429."""
    rate_limit_key_percent: int = Field(80, ge=1, le=100)
    """How much of it one key may use."""
    rate_limit_window: timedelta = Field(timedelta(seconds=10), ge=timedelta(seconds=1), le=timedelta(hours=1))
    """The window limits are counted in; a limit that was not used is there at once."""
    proxy_addresses: str = ""
    """IP addresses of reverse proxies before the API, comma-separated. Everybody seems to come from there, so failures
    to sign in are counted by account only; no header is believed. Loopback addresses need not be named."""
    max_requests: int = Field(200, ge=1, le=100_000)
    """Requests one API process works on at once. More are refused with 503 `overloaded` before anything is done;
    health, readiness and metrics never are."""
    temporal_ui_url: str = ""
    """Where people open Temporal's Web UI; answers then link to it. Empty: no links."""
    console_url: str = ""
    """Where people open the console; answers then link to it. Empty: no links."""
    console_dir: str = ""
    """Folder of the built console, which the API serves at `/console`. Empty: `build/console` beside the code."""

    public_url: str = ""
    """Where browsers reach this API, `https://holdfast.example.com`: an identity provider sends people back there.
    Empty: nobody can sign in by an identity provider, but on the one-machine stack, which knows where it is."""

    outbound_allow: str = ""
    """Hosts that may be called although they are not public: `host` or `host:port`, comma-separated; `[v6]:port` for
    IPv6. `acme=host` for one organisation only, `acme/chat=host` for one use of it (`webhook`, `chat`,
    `identity`), `*/chat=host`
    for that use of all. They may also be called without TLS. Anything else must be a public https address."""

    smtp_host: str = ""
    """Mail server. Empty: the one-machine stack keeps mail in its data folder; elsewhere mail is refused."""
    smtp_port: int = Field(25, ge=1, le=65535)
    """Port of the mail server."""
    smtp_sender: str = ""
    """Address mail is sent from. Required with `HOLDFAST_SMTP_HOST`."""
    smtp_username: str = ""
    """Name to log in to the mail server with. Empty: no login."""
    smtp_password: SecretStr = SecretStr("")
    """Password to log in to the mail server with. Required with a user name. A secret."""
    smtp_tls: Literal["none", "starttls", "implicit"] = "none"
    """How the connection to the mail server is encrypted. A login is refused without encryption."""

    log_format: Literal["auto", "console", "json"] = "auto"
    """`auto`: for people on a terminal, JSON otherwise."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe log line written."""
    metrics_port: int = Field(0, ge=0, le=65535)
    """Port on which a worker shows the metrics of Temporal's SDK to Prometheus. 0: it does not."""
    metrics_host: str = "127.0.0.1"
    """Address a worker's metrics are shown on."""
    otel_endpoint: str = Field("", validation_alias=AliasChoices("OTEL_EXPORTER_OTLP_ENDPOINT"))
    """Where traces go: the base URL of an OTLP/HTTP collector, `http://localhost:4318`. Empty: nothing is traced.
    `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_TRACES_SAMPLER` are
    understood too, as the OpenTelemetry SDK documents them."""
    data_dir: Path = Path(".data")
    """Where the one-machine stack keeps its state."""

    failpoints_enabled: bool = False
    """For fault tests only: lets `HOLDFAST_FAILPOINT` kill this process. Refused in production."""
    failpoint: str = ""
    """For fault tests only: a file that names the failpoint where this process kills itself."""

    SECRETS: ClassVar[frozenset[str]] = frozenset(
        {
            "database_url",
            "migration_database_url",
            "id_key",
            "encryption_keyset",
            "payload_keys",
            "audit_signing_key",
            "smtp_password",
        }
    )
    """Fields that are also read from the file named by `<VARIABLE>_FILE`."""

    @classmethod
    def load(cls, fallback: Mapping[str, Any] | None = None, override: Mapping[str, Any] | None = None) -> Self:
        """Settings from `override`, then the environment, then secret files, then `.env` (in development), then
        `fallback`, then defaults. Raises `SettingsInvalid` naming every variable that is missing or wrong."""
        values: dict[str, Any] = dict(fallback or {})
        values |= _supplied(development=_is_development(values.get("environment", "production")))
        values |= override or {}
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SettingsInvalid(_explain(cls, error)) from None

    @field_validator("graceful_stop", "chat_wait", "export_stall", "rate_limit_window", mode="before")
    @classmethod
    def _plain_seconds(cls, value: object) -> object:
        """`10` and `2.5` are seconds, as `PT10S` and `PT2.5S` are."""
        return float(value) if isinstance(value, str) and re.fullmatch(r"\d{1,9}(\.\d{1,6})?", value) else value

    @field_validator("id_key")
    @classmethod
    def _long_enough(cls, key: SecretStr) -> SecretStr:
        if len(key.get_secret_value()) < 32:
            raise ValueError("must have at least 32 characters")
        return key

    @field_validator("outbound_allow")
    @classmethod
    def _hosts(cls, entries: str) -> str:
        AllowList(_listed(entries))
        return entries

    @field_validator("public_url")
    @classmethod
    def _an_origin(cls, url: str) -> str:
        parts = urlsplit(url)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
        if url and (not is_safe or url != f"{parts.scheme}://{parts.netloc}" or "@" in parts.netloc):
            raise ValueError("must be https:// and a host, without a path")
        return url

    @field_validator("audit_signing_key")
    @classmethod
    def _signs(cls, keys: SecretStr) -> SecretStr:
        if keys.get_secret_value():
            from adapters.ed25519 import Ed25519Keys  # takes a while to import, and many commands need no key

            try:
                Ed25519Keys(keys.get_secret_value())
            except ValueError:
                raise ValueError(
                    "must be an Ed25519 private key: PEM, or base64 of 32 bytes, or such with commas"
                ) from None
        return keys

    @field_validator("proxy_addresses")
    @classmethod
    def _addresses(cls, entries: str) -> str:
        try:
            for entry in _listed(entries):
                ip_address(entry)
        except ValueError:
            raise ValueError("must be IP addresses, separated by commas") from None
        return entries

    @field_validator("encryption_keyset")
    @classmethod
    def _a_keyset(cls, keyset: SecretStr) -> SecretStr:
        if keyset.get_secret_value():
            try:
                is_one = "primaryKeyId" in json.loads(keyset.get_secret_value())
            except (ValueError, TypeError):
                is_one = False
            if not is_one:
                raise ValueError("must be a Tink keyset as JSON")
        return keyset

    @field_validator("payload_keys")
    @classmethod
    def _keys(cls, keys: SecretStr) -> SecretStr:
        if keys.get_secret_value() and not all(map(_is_key, keys.get_secret_value().split(","))):
            raise ValueError("must be the base64 of 32 random bytes each, separated by commas")
        return keys

    @model_validator(mode="after")
    def _safe_together(self) -> Self:
        for broken, reason in (
            (self.local and not is_loopback(self.api_host), "HOLDFAST_LOCAL needs a loopback HOLDFAST_API_HOST"),
            (self.local and self._is_production, "HOLDFAST_LOCAL lets callers in without a key: refused in production"),
            (
                self._is_production and _is_guessed(self.id_key.get_secret_value()),
                "HOLDFAST_ID_KEY must be random: openssl rand -hex 32",
            ),
            (
                self._is_production and any(map(_has_weak_password, (self.database_url, self.owner_database_url))),
                "the database's password is a default one, or shorter than 8 characters",
            ),
            (self.smtp_host and not self.smtp_sender, "HOLDFAST_SMTP_HOST needs HOLDFAST_SMTP_SENDER"),
            (
                bool(self.smtp_username) != bool(self.smtp_password.get_secret_value()),
                "an SMTP user name and password go together",
            ),
            (self.smtp_username and self.smtp_tls == "none", "an SMTP login needs HOLDFAST_SMTP_TLS"),
            (
                bool(self.deployment_name) != bool(self.build_id),
                "TEMPORAL_DEPLOYMENT_NAME and TEMPORAL_WORKER_BUILD_ID go together",
            ),
            (
                self.environment == "production" and not self.payload_keys.get_secret_value(),
                "HOLDFAST_PAYLOAD_KEYS: is required in production",
            ),
            (self.failpoint and not self.failpoints_enabled, "HOLDFAST_FAILPOINT needs HOLDFAST_FAILPOINTS_ENABLED"),
            (self.failpoints_enabled and self.environment == "production", "failpoints are refused in production"),
        ):
            if broken:
                raise ValueError(reason)
        return self

    @property
    def _is_production(self) -> bool:
        return self.environment == "production"

    @property
    def audit_folder(self) -> Path:
        """Where checkpoints are kept."""
        return Path(self.audit_checkpoint_dir) if self.audit_checkpoint_dir else self.data_dir / "audit"

    @property
    def console_folder(self) -> Path:
        """Where the built console is, if it is built."""
        return Path(self.console_dir) if self.console_dir else Path(__file__).parent / "build" / "console"

    @property
    def tombstone_folder(self) -> Path:
        """Where tombstones are kept."""
        return Path(self.tombstone_dir) if self.tombstone_dir else self.data_dir / "tombstones"

    @property
    def outbound_allowed(self) -> tuple[str, ...]:
        """The entries of `outbound_allow`."""
        return _listed(self.outbound_allow)

    @property
    def proxies(self) -> frozenset[str]:
        """The entries of `proxy_addresses`."""
        return frozenset(str(ip_address(entry)) for entry in _listed(self.proxy_addresses))

    @property
    def reached_at(self) -> str:
        """Where browsers reach the API; empty where nobody knows."""
        return self.public_url or (f"http://localhost:{self.api_port}" if self.local else "")

    @property
    def owner_database_url(self) -> str:
        """Postgres as the role that may migrate."""
        return self.migration_database_url or self.database_url


_DEFAULTS = (
    "changeme",
    "change-me",
    "change_me",
    "placeholder",
    "example",
    "default",
    "password",
    "insecure",
    "holdfast",
)
"""What stands in examples until somebody replaces it."""


def _is_guessed(secret: str) -> bool:
    """Whether nobody made it at random: few different characters, a run of the keyboard, a word from an example."""
    plain = secret.lower()
    return len(set(plain)) < 6 or "0123456789" in plain or any(word in plain for word in _DEFAULTS)


def _has_weak_password(url: str) -> bool:
    """Whether a URL carries a password everybody tries. None is not weak: a socket or a certificate may do without."""
    try:
        parts = urlsplit(url)
        user, password = parts.username, parts.password
    except ValueError:
        return False
    if password is None:
        return False
    plain = unquote(password).lower()
    return len(plain) < 8 or plain == user or plain in {"postgres", "postgresql", *_DEFAULTS} or len(set(plain)) < 4


def _listed(entries: str) -> tuple[str, ...]:
    return tuple(entry for part in entries.split(",") if (entry := part.strip()))


def _is_key(key: str) -> bool:
    """Whether it could be one of `payload_keys`; one that nobody drew by lot is refused as well."""
    try:
        found = base64.b64decode(key.strip(), validate=True)
    except ValueError:
        return False
    return len(found) == KEY_BYTES and len(set(found)) >= KEY_BYTES // 4


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`. A name other than `localhost` counts as reachable."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def given(name: str) -> bool:
    """Whether the environment, a secret file or (in development) `.env` supplies the field `name`: what the
    one-machine stack asks before it starts its own Postgres or mail sink."""
    return name in _supplied(development=_is_development("development"))


def temporal_given() -> bool:
    """Whether the environment, `.env` or a Temporal profile names a Temporal server."""
    return bool(_temporal_profile(development=_is_development("development")).address)


def temporal_config(settings: Settings) -> dict[str, Any]:
    """Arguments of `temporalio.client.Client.connect`: Temporal's own variables and profile, then `settings`."""
    profile = _temporal_profile(development=settings.environment == "development")
    return {"target_host": settings.temporal_address, **profile.to_client_connect_config()}


def child_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child process: this one's, with `variables` on top."""
    return {**_environment, **variables}


def as_variables(values: Mapping[str, Any]) -> dict[str, str]:
    """Field values as the environment variables that would supply them."""
    fields = Settings.model_fields
    return {
        _variable(name, fields[name]): str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
    }


def payload_codec(settings: Settings) -> "SealingCodec | None":
    """What seals payloads for Temporal; None without keys, which only development may do."""
    from adapters.payload_codec import codec_of  # not every command talks to Temporal

    return codec_of(settings.payload_keys.get_secret_value(), accept_plaintext=settings.payload_plaintext)


def customer_seals(settings: Settings) -> "Seals | None":
    """What seals customers' words under keys of their own; None without a keyset."""
    keyset = settings.encryption_keyset.get_secret_value()
    if not keyset:
        return None
    from adapters.crypto import TinkSecretBox  # takes a while to import, and many commands read no words
    from adapters.customer_keys import CustomerKeys
    from schema.seals import Seals

    return Seals(CustomerKeys(TinkSecretBox(keyset)), writes=not settings.customer_plaintext)


def describe() -> str:
    """The reference page of every setting, in Markdown."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        variable = f"`{_variable(name, field)}`"
        if name in Settings.SECRETS:
            variable += f"<br>or `{_variable(name, field)}_FILE`"
        rows.append(f"| {variable} | {_default(field)} | {' '.join((field.description or '').split())} |")
    return "\n".join((_REFERENCE_HEAD, *rows, ""))


def write_reference() -> None:
    """Bring `docs/reference/settings.md` up to date."""
    REFERENCE.parent.mkdir(parents=True, exist_ok=True)
    REFERENCE.write_text(describe(), encoding="utf-8")


_REFERENCE_HEAD = """# Settings

Generated from `settings.py` by `make docs`; do not edit. Read once, at start, from the environment. A secret may be
given in a file instead: `<VARIABLE>_FILE` names it. With `HOLDFAST_ENVIRONMENT=development` a `.env` file in the
working directory is read as well, below the real environment. Durations are ISO 8601 (`PT10S`) or seconds.
"""


def _variable(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"{PREFIX}{name.upper()}"


def _is_development(otherwise: str) -> bool:
    return (_environment.get(f"{PREFIX}ENVIRONMENT") or otherwise) == "development"


def _dotenv() -> dict[str, str]:
    return {key: value for key, value in dotenv_values(".env").items() if value}


def _supplied(*, development: bool) -> dict[str, Any]:
    """What the outside says, by field name. An empty variable is as good as an unset one."""
    found: dict[str, Any] = {}
    variables: dict[str, str] = dict(_environment)
    if development:
        variables = _dotenv() | variables
        found |= DotEnvSettingsSource(Settings, env_file=".env")()
    found |= EnvSettingsSource(Settings)()
    names = {_variable(name, field).lower(): name for name, field in Settings.model_fields.items()}
    by_field = {names.get(key.lower(), key): value for key, value in found.items()}
    return _secret_files(variables) | {name: by_field[name] for name in by_field if name in Settings.model_fields}


def _secret_files(variables: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in sorted(Settings.SECRETS):
        variable = _variable(name, Settings.model_fields[name])
        path = variables.get(f"{variable}_FILE")
        if not path:
            continue
        if variables.get(variable):
            raise SettingsInvalid(f"{variable} and {variable}_FILE are both set; which one is meant?")
        try:
            found[name] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsInvalid(f"the file {variable}_FILE names cannot be read: {type(error).__name__}") from None
    return found


def _explain(cls: type[Settings], error: ValidationError) -> str:
    variables = {name: _variable(name, field) for name, field in cls.model_fields.items()}
    lines = []
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        first = str(problem["loc"][0]) if problem["loc"] else ""
        name = variables.get(first, first)
        message = "is required" if problem["type"] == "missing" else problem["msg"].removeprefix("Value error, ")
        lines.append(f"{name}: {message}" if name else message)
    return "; ".join(lines)


def _temporal_profile(*, development: bool) -> ClientConfigProfile:
    variables = {**(_dotenv() if development else {}), **_environment}
    try:
        return ClientConfigProfile.load(override_env_vars=variables)
    except (RuntimeError, ValueError) as error:
        raise SettingsInvalid(f"Temporal's configuration cannot be read: {type(error).__name__}") from None


def _default(field: FieldInfo) -> str:
    value = field.get_default()
    if field.is_required():
        return "required"
    if isinstance(value, SecretStr) or value == "":
        return "empty"
    if isinstance(value, timedelta):
        return f"`PT{value.total_seconds():g}S`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
