"""Settings refuse to start half-configured, say which variable is wrong and never what was in it."""

import base64
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import settings
from adapters.payload_codec import new_payload_key
from settings import Settings, SettingsInvalid

ROOT = Path(settings.__file__).parent
SECRET = "s3cret-" * 8
PAYLOAD_KEY = new_payload_key()
GOOD = {
    "DATABASE_URL": "postgresql://holdfast:pa55-of-the-tests@db:5432/holdfast",
    "HOLDFAST_ID_KEY": SECRET,
    "HOLDFAST_PAYLOAD_KEYS": PAYLOAD_KEY,
}


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Replaces every variable we read by the ones given, in an empty working directory."""

    def give(variables: Mapping[str, str]) -> None:
        for name in list(os.environ):
            if name.startswith(("HOLDFAST_", "DATABASE_", "MIGRATION_", "TEMPORAL_")):
                monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    monkeypatch.chdir(tmp_path)
    # Temporal's profile of whoever runs the tests is none of their business.
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    give({})
    return give


def test_complete_settings_load_with_safe_defaults(given) -> None:
    given(GOOD)
    loaded = Settings.load()
    assert loaded.database_url == GOOD["DATABASE_URL"] == loaded.owner_database_url
    assert loaded.environment == "production"
    assert not loaded.local
    assert not loaded.failpoints_enabled
    assert loaded.api_host == "127.0.0.1"
    assert loaded.chat_wait == timedelta(seconds=10)
    assert loaded.max_body_bytes == 65_536


@pytest.mark.parametrize("missing", sorted(GOOD))
@pytest.mark.parametrize("how", ["absent", "empty"])
def test_a_missing_or_empty_secret_refuses_and_is_named(given, missing: str, how: str) -> None:
    given({name: value for name, value in GOOD.items() if name != missing} | ({missing: ""} if how == "empty" else {}))
    with pytest.raises(SettingsInvalid, match=f"{missing}: is required"):
        Settings.load()


SIGNING_KEY = base64.b64encode(b"k" * 32).decode()


def pem(key: X25519PrivateKey | Ed25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


BROKEN = {
    "a short key": ({"HOLDFAST_ID_KEY": "hunter2-hunter2"}, "HOLDFAST_ID_KEY: must have at least 32 characters"),
    "a short payload key": ({"HOLDFAST_PAYLOAD_KEYS": "aHVudGVyMg=="}, "HOLDFAST_PAYLOAD_KEYS: must be the base64"),
    "one good payload key and one that is none": (
        {"HOLDFAST_PAYLOAD_KEYS": f"{PAYLOAD_KEY},{SECRET}"},
        "HOLDFAST_PAYLOAD_KEYS: must be the base64",
    ),
    "a payload key of one letter": ({"HOLDFAST_PAYLOAD_KEYS": "A" * 43 + "="}, "HOLDFAST_PAYLOAD_KEYS: must be"),
    "no key needed, on every interface": (
        {"HOLDFAST_LOCAL": "true", "HOLDFAST_API_HOST": "0.0.0.0"},
        "HOLDFAST_LOCAL needs a loopback",
    ),
    "no key needed, on a name": (
        {"HOLDFAST_LOCAL": "true", "HOLDFAST_API_HOST": "api.internal"},
        "HOLDFAST_LOCAL needs a loopback",
    ),
    "no key needed, in production": ({"HOLDFAST_LOCAL": "true"}, "HOLDFAST_LOCAL .* refused in production"),
    "a key nobody made": ({"HOLDFAST_ID_KEY": "k" * 40}, "HOLDFAST_ID_KEY must be random"),
    "a key from an example": (
        {"HOLDFAST_ID_KEY": "please-change-me-before-you-deploy-it"},
        "HOLDFAST_ID_KEY must be",
    ),
    "a key from the keyboard": ({"HOLDFAST_ID_KEY": "0123456789abcdef" * 2}, "HOLDFAST_ID_KEY must be random"),
    "a short password": ({"DATABASE_URL": "postgresql://holdfast:pa55@db/x"}, "password is a default one, or shorter"),
    "a default password": ({"DATABASE_URL": "postgresql://holdfast:holdfast@db/x"}, "password is a default one"),
    "the owner's default password": (
        {"MIGRATION_DATABASE_URL": "postgresql://postgres:postgres@db/x"},
        "password is a default one",
    ),
    "proxies by name": ({"HOLDFAST_PROXY_ADDRESSES": "proxy.internal"}, "HOLDFAST_PROXY_ADDRESSES: must be IP"),
    "mail from nobody": ({"HOLDFAST_SMTP_HOST": "mail"}, "HOLDFAST_SMTP_SENDER"),
    "a login in clear": (
        {"HOLDFAST_SMTP_USERNAME": "u", "HOLDFAST_SMTP_PASSWORD": SECRET},
        "an SMTP login needs HOLDFAST_SMTP_TLS",
    ),
    "half a login": ({"HOLDFAST_SMTP_USERNAME": "u", "HOLDFAST_SMTP_TLS": "starttls"}, "go together"),
    "a failpoint without the flag": ({"HOLDFAST_FAILPOINT": "F1"}, "HOLDFAST_FAILPOINTS_ENABLED"),
    "failpoints in production": ({"HOLDFAST_FAILPOINTS_ENABLED": "true"}, "refused in production"),
    "a port that is none": ({"HOLDFAST_API_PORT": "70000"}, "HOLDFAST_API_PORT"),
    "a word for a number": ({"HOLDFAST_DATABASE_POOL_SIZE": SECRET}, "HOLDFAST_DATABASE_POOL_SIZE"),
    "a signing key that is none": (
        {"HOLDFAST_AUDIT_SIGNING_KEY": SECRET},
        "HOLDFAST_AUDIT_SIGNING_KEY: must be an Ed25",
    ),
    "a signing key that is too short": (
        {"HOLDFAST_AUDIT_SIGNING_KEY": base64.b64encode(b"k" * 31).decode()},
        "HOLDFAST_AUDIT_SIGNING_KEY: must be an Ed25519",
    ),
    "a signing key and half a comma": (
        {"HOLDFAST_AUDIT_SIGNING_KEY": f"{SIGNING_KEY},"},
        "HOLDFAST_AUDIT_SIGNING_KEY: must be an Ed25519",
    ),
    "a signing key of another kind": (
        {"HOLDFAST_AUDIT_SIGNING_KEY": pem(X25519PrivateKey.generate())},
        "HOLDFAST_AUDIT_SIGNING_KEY: must be an Ed25519",
    ),
    "an unknown environment": ({"HOLDFAST_ENVIRONMENT": "staging"}, "HOLDFAST_ENVIRONMENT"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_unsafe_or_malformed_settings_are_refused_without_repeating_a_value(given, case: str) -> None:
    variables, message = BROKEN[case]
    given(GOOD | variables)
    with pytest.raises(SettingsInvalid, match=message) as refusal:
        Settings.load()
    for secret in (SECRET, "hunter2", "pa55"):
        assert secret not in str(refusal.value)


@pytest.mark.parametrize(
    "key", [SIGNING_KEY, f"{SIGNING_KEY}, {SIGNING_KEY}", pem(Ed25519PrivateKey.generate())], ids=["seed", "two", "pem"]
)
def test_a_signing_key_is_taken_as_it_is(given, key: str) -> None:
    """Negative control of those that are refused."""
    given(GOOD | {"HOLDFAST_AUDIT_SIGNING_KEY": key})
    assert Settings.load().audit_signing_key.get_secret_value().strip() == key.strip()


def test_a_random_key_and_a_password_of_ones_own_are_accepted_in_production(given) -> None:
    """Negative control of the refusals above: they do not refuse what `openssl rand -hex 32` makes."""
    for _ in range(200):
        given(GOOD | {"HOLDFAST_ID_KEY": os.urandom(32).hex()})
        Settings.load()
    for url in ("postgresql:///holdfast", "postgresql://holdfast@db/x", f"postgresql://u:{os.urandom(8).hex()}@db/x"):
        given(GOOD | {"DATABASE_URL": url})
        Settings.load()


def test_what_production_refuses_is_let_be_on_a_developers_machine(given) -> None:
    easy = {
        "HOLDFAST_ID_KEY": "k" * 40,
        "HOLDFAST_LOCAL": "true",
        "DATABASE_URL": "postgresql://postgres:postgres@db/x",
    }
    given(GOOD | easy | {"HOLDFAST_ENVIRONMENT": "development"})
    assert Settings.load().local


@pytest.mark.parametrize("field", sorted(Settings.SECRETS))
def test_every_secret_is_read_from_a_file_too(given, tmp_path: Path, field: str) -> None:
    variable = next(iter(settings.as_variables({field: ""})))
    shapes = {
        "encryption_keyset": f'{{"primaryKeyId": 1, "key": ["{SECRET}"]}}',
        "payload_keys": PAYLOAD_KEY,
        "audit_signing_key": SIGNING_KEY,
    }
    value = f"postgresql://u:{SECRET}@db/x" if "url" in field else shapes.get(field, SECRET)
    (tmp_path / "secret").write_text(value + "\n")
    others = {name: other for name, other in GOOD.items() if name != variable}
    login = {"HOLDFAST_SMTP_USERNAME": "u", "HOLDFAST_SMTP_TLS": "implicit"} if field == "smtp_password" else {}
    given(others | login | {f"{variable}_FILE": str(tmp_path / "secret")})
    found = getattr(Settings.load(), field)
    assert (found if isinstance(found, str) else found.get_secret_value()) == value


def test_every_secret_type_is_listed_as_a_secret() -> None:
    """The control for the test above: a new secret that is not listed would not be read from a file."""
    hidden = {
        name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation) or not field.repr
    }
    assert hidden == Settings.SECRETS


def test_a_secret_given_twice_or_in_an_unreadable_file_is_refused(given, tmp_path: Path) -> None:
    given(GOOD | {"HOLDFAST_ID_KEY_FILE": str(tmp_path / "secret")})
    with pytest.raises(SettingsInvalid, match="HOLDFAST_ID_KEY and HOLDFAST_ID_KEY_FILE are both set"):
        Settings.load()
    given({"DATABASE_URL": GOOD["DATABASE_URL"], "HOLDFAST_ID_KEY_FILE": str(tmp_path / "secret")})
    with pytest.raises(SettingsInvalid, match="HOLDFAST_ID_KEY_FILE names cannot be read: FileNotFoundError"):
        Settings.load()


def test_dotenv_is_read_in_development_only_and_below_the_environment(given, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HOLDFAST_TASK_QUEUE=from-dotenv\nHOLDFAST_LOG_LEVEL=debug\nUNKNOWN=1\n")
    given(GOOD)
    assert Settings.load().task_queue == "holdfast"
    given(GOOD | {"HOLDFAST_ENVIRONMENT": "development", "HOLDFAST_LOG_LEVEL": "error"})
    assert (Settings.load().task_queue, Settings.load().log_level) == ("from-dotenv", "error")


def test_precedence_is_override_then_environment_then_fallback(given) -> None:
    given(GOOD | {"HOLDFAST_API_PORT": "2000"})
    assert Settings.load({"api_port": 3000, "task_queue": "f"}).api_port == 2000
    assert Settings.load({"api_port": 3000, "task_queue": "f"}).task_queue == "f"
    assert Settings.load({"api_port": 3000}, {"api_port": 1000}).api_port == 1000


def test_a_printed_settings_object_shows_no_secret(given) -> None:
    given(GOOD | {"MIGRATION_DATABASE_URL": f"postgresql://o:{SECRET}@db/x"})
    assert SECRET not in repr(Settings.load())
    assert "pa55" not in str(Settings.load())


def test_settings_are_frozen(given) -> None:
    given(GOOD)
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().local = True  # type: ignore[misc]  # that is what is being tried


def test_temporal_comes_from_its_own_variables(given) -> None:
    given(GOOD)
    assert not settings.temporal_given()
    assert settings.temporal_config(Settings.load())["target_host"] == "localhost:7233"
    given(GOOD | {"TEMPORAL_ADDRESS": "temporal:7233", "TEMPORAL_NAMESPACE": "prod", "TEMPORAL_API_KEY": "k"})
    assert settings.temporal_given()
    config = settings.temporal_config(Settings.load())
    assert (config["target_host"], config["namespace"], config["tls"]) == ("temporal:7233", "prod", True)


def test_temporal_comes_from_a_profile(given, tmp_path: Path) -> None:
    (tmp_path / "temporal.toml").write_text('[profile.cloud]\naddress = "cloud:7233"\nnamespace = "ours"\n')
    profile = {"TEMPORAL_CONFIG_FILE": str(tmp_path / "temporal.toml"), "TEMPORAL_PROFILE": "cloud"}
    given(GOOD | profile)
    assert settings.temporal_given()
    assert settings.temporal_config(Settings.load()) | {"rpc_metadata": {}} == {
        "target_host": "cloud:7233", "namespace": "ours", "rpc_metadata": {},
    }  # fmt: skip
    given(GOOD | profile | {"TEMPORAL_PROFILE": "absent"})
    with pytest.raises(SettingsInvalid, match="Temporal's configuration"):
        settings.temporal_config(Settings.load())


def test_variables_of_a_child_supply_the_same_settings(given, tmp_path: Path) -> None:
    values = {"database_url": "postgresql://x/y", "id_key": SECRET, "local": True, "data_dir": tmp_path, "api_port": 81,
              "environment": "development"}  # fmt: skip
    given(settings.as_variables(values | {"payload_keys": PAYLOAD_KEY}))
    loaded = Settings.load()
    assert (loaded.local, loaded.data_dir, loaded.api_port) == (True, tmp_path, 81)
    assert settings.child_environment({"A": "b"})["DATABASE_URL"] == "postgresql://x/y"


def test_a_process_without_settings_ends_with_the_names_and_no_values() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from settings import Settings; Settings.load()"],
        cwd=ROOT, env={"PATH": os.environ["PATH"], "HOLDFAST_ID_KEY": "short-" + SECRET[:9]},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "DATABASE_URL: is required" in done.stderr
    assert SECRET[:9] not in done.stderr


def test_the_reference_page_is_current() -> None:
    assert settings.REFERENCE.read_text(encoding="utf-8") == settings.describe(), "run `make docs`"


def test_the_reference_page_describes_every_setting() -> None:
    """The control: a setting without a docstring would be a row without a meaning."""
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert f"`{next(iter(settings.as_variables({name: ''})))}`" in settings.describe()
