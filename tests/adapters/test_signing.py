"""W-1 and W-2: webhooks signed and checked as Standard Webhooks says."""

import base64
import json
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from adapters.signing import SignatureInvalid, new_key_pair, sign, verify
from domain.signing import shown_public_key

# The example of the Standard Webhooks specification and the vectors of its reference libraries.
SECRET = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
ID, STAMP, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
# The vector of the scheme's reference server for `v1a`: both halves of the pair, and the signature of the same message.
PAIR = base64.b64decode("6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==")
SEED, PUBLIC = PAIR[:32], PAIR[32:]
SIGNATURE_A = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
AT = datetime.fromtimestamp(STAMP, UTC)


def headers(**changed: str) -> dict[str, str]:
    given = {"id": ID, "timestamp": str(STAMP), "signature": SIGNATURE, **changed}
    return {f"webhook-{name}": value for name, value in given.items()}


def refused(given: dict[str, str], body: bytes = BODY, now: datetime = AT, secret: bytes = SECRET) -> str:
    with pytest.raises(SignatureInvalid) as error:
        verify([secret], given, body, now)
    return error.value.code


def test_W1_the_public_vector_is_what_we_sign_and_what_we_accept() -> None:
    assert sign([SECRET], ID, AT, BODY.decode()) == headers()
    assert verify([SECRET], headers(), BODY, AT) == ID


def test_W1_the_public_package_accepts_ours_and_we_accept_its_over_2000_random_payloads() -> None:
    dice, now = Random(20261121), datetime.now(UTC)
    for n in range(2_000):
        secrets = [dice.randbytes(dice.randint(24, 64)) for _ in range(dice.randint(1, 3))]
        text = "".join(chr(dice.randint(1, 0xD7FF)) for _ in range(dice.randint(0, 60)))
        body = json.dumps({"n": n, "text": text}, ensure_ascii=bool(n % 2))
        ours = sign(secrets, f"evt_{n}", now, body)
        for secret in secrets:
            assert Webhook(secret).verify(body.encode(), ours) == json.loads(body)
        chosen = dice.choice(secrets)
        theirs = {**ours, "webhook-signature": Webhook(chosen).sign(f"evt_{n}", now, body)}
        assert verify(secrets, theirs, body.encode(), now) == f"evt_{n}"
        with pytest.raises(WebhookVerificationError):
            Webhook(dice.randbytes(32)).verify(body.encode(), ours)


def test_W1_bytes_that_are_no_utf_8_are_signed_as_they_are() -> None:
    import hmac
    from hashlib import sha256

    dice = Random(7)
    for _ in range(200):
        body = b"\xff\xfe" + dice.randbytes(30)
        signed = hmac.digest(SECRET, f"{ID}.{STAMP}.".encode() + body, sha256)
        given = headers(signature=f"v1,{base64.b64encode(signed).decode()}")
        assert verify([SECRET], given, body, AT) == ID
        assert refused(given, body[:-1]) == "signature_mismatch"


def test_W1_the_public_vector_of_v1a_is_what_we_sign_and_what_we_accept() -> None:
    assert sign([], ID, AT, BODY.decode(), seeds=[SEED])["webhook-signature"] == SIGNATURE_A
    assert verify([], headers(signature=SIGNATURE_A), BODY, AT, public_keys=[PUBLIC]) == ID
    assert shown_public_key(PUBLIC) == "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="


def test_W1_v1a_stands_beside_v1_and_either_is_enough() -> None:
    both = sign([SECRET], ID, AT, BODY.decode(), seeds=[SEED])
    assert both["webhook-signature"] == f"{SIGNATURE} {SIGNATURE_A}"
    assert Webhook(SECRET).sign(ID, AT, BODY.decode()) == both["webhook-signature"].split(" ")[0]
    assert verify([SECRET], both, BODY, AT) == ID
    assert verify([], both, BODY, AT, public_keys=[PUBLIC]) == ID
    assert refused(both, secret=b"x" * 24) == "signature_mismatch"


def test_W1_the_public_package_takes_what_is_signed_in_both_ways() -> None:
    now = datetime.now(UTC)
    both = sign([SECRET], ID, now, BODY.decode(), seeds=[SEED])
    assert Webhook(SECRET).verify(BODY, both) == json.loads(BODY)


def test_W1_v1a_over_2000_random_payloads_and_each_active_pair_signs() -> None:
    dice, pairs = Random(20261122), [new_key_pair() for _ in range(3)]
    for n in range(2_000):
        used = dice.sample(pairs, dice.randint(1, 3))
        body = "".join(chr(dice.randint(1, 0xD7FF)) for _ in range(dice.randint(0, 60)))
        ours = sign([], f"evt_{n}", AT, body, seeds=[seed for seed, _ in used])
        for _, public in used:
            assert verify([], ours, body.encode(), AT, public_keys=[public]) == f"evt_{n}"
        for other in (pair for pair in pairs if pair not in used):
            with pytest.raises(SignatureInvalid):
                verify([], ours, body.encode(), AT, public_keys=[other[1]])


def test_W1_bytes_that_are_no_utf_8_are_checked_as_they_are_with_v1a() -> None:
    dice, private = Random(8), Ed25519PrivateKey.from_private_bytes(SEED)
    for _ in range(200):
        body = b"\xff\xfe" + dice.randbytes(30)
        signature = private.sign(f"{ID}.{STAMP}.".encode() + body)
        given = headers(signature=f"v1a,{base64.b64encode(signature).decode()}")
        assert verify([], given, body, AT, public_keys=[PUBLIC]) == ID
        assert _refused_a(given, body[:-1]) == "signature_mismatch"


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "msg_other"},
        {"timestamp": str(STAMP + 1)},
        {"signature": "v1a,"},
        {"signature": SIGNATURE_A[:-4]},
        {"signature": SIGNATURE_A.replace("v1a,", "v1,")},
        {"signature": SIGNATURE_A.replace("v1a,", "")},
        {"signature": "v1a," + base64.b64encode(bytes(64)).decode()},
        {"signature": "v1a," + base64.b64encode(PUBLIC * 2).decode()},
        {"signature": " ".join(["v1a,AAAA"] * 30 + [SIGNATURE_A])},
    ],
)
def test_W2_whatever_is_altered_is_refused_with_v1a_too(changed: dict[str, str]) -> None:
    assert _refused_a(headers(**{"signature": SIGNATURE_A, **changed})) == "signature_mismatch"


@pytest.mark.parametrize(
    "key", [b"", b"k" * 31, bytes(32), new_key_pair()[1]], ids=["none", "short", "zero", "another"]
)
def test_W2_another_key_or_none_at_all_checks_nothing(key: bytes) -> None:
    assert _refused_a(headers(signature=SIGNATURE_A), key=key) == "signature_mismatch"


def test_W2_a_secret_is_no_public_key_and_a_public_key_no_secret() -> None:
    """Whoever knows the public key must not be able to sign as if it were a shared secret."""
    forged = sign([PUBLIC], ID, AT, BODY.decode())
    assert _refused_a(forged) == "signature_mismatch"
    assert _refused_a({**forged, "webhook-signature": forged["webhook-signature"].replace("v1,", "v1a,")})


def _refused_a(given: dict[str, str], body: bytes = BODY, key: bytes = PUBLIC) -> str:
    with pytest.raises(SignatureInvalid) as error:
        verify([], given, body, AT, public_keys=[key])
    return error.value.code


def test_W1_each_active_secret_signs_and_any_of_them_verifies() -> None:
    other = b"o" * 32
    ours = sign([other, SECRET], ID, AT, BODY.decode())
    assert ours["webhook-signature"].split(" ")[1] == SIGNATURE
    for secret in (SECRET, other):
        assert verify([secret], ours, BODY, AT) == ID
    assert verify([b"x" * 32, SECRET], ours, BODY, AT) == ID


@pytest.mark.parametrize("away", [timedelta(minutes=5, seconds=1), -timedelta(minutes=5, seconds=1)])
def test_W2_a_stamp_out_of_the_window_is_refused_and_on_its_edge_accepted(away: timedelta) -> None:
    assert refused(headers(), now=AT + away) == "stamp_out_of_window"
    edge = away - timedelta(seconds=1) if away > timedelta(0) else away + timedelta(seconds=1)
    assert verify([SECRET], headers(), BODY, AT + edge) == ID


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"id": "msg_other"}, "signature_mismatch"),
        ({"timestamp": str(STAMP + 1)}, "signature_mismatch"),
        ({"id": f"{ID}.1"}, "header_malformed"),
        ({"id": ""}, "header_malformed"),
        ({"id": "a b"}, "header_malformed"),
        ({"timestamp": ""}, "header_malformed"),
        ({"timestamp": f"{STAMP}.5"}, "header_malformed"),
        ({"timestamp": f" {STAMP}"}, "header_malformed"),
        ({"timestamp": "nan"}, "header_malformed"),
        ({"timestamp": f"+{STAMP}"}, "header_malformed"),
        ({"timestamp": "１６１４２６５３３０"}, "header_malformed"),
        ({"signature": ""}, "signature_mismatch"),
        ({"signature": "v1,"}, "signature_mismatch"),
        ({"signature": "v1"}, "signature_mismatch"),
        ({"signature": SIGNATURE[:-4]}, "signature_mismatch"),
        ({"signature": SIGNATURE.replace("v1,", "v2,")}, "signature_mismatch"),
        ({"signature": SIGNATURE.replace("v1,", "v1a,")}, "signature_mismatch"),
        ({"signature": SIGNATURE.replace("v1,", "")}, "signature_mismatch"),
        ({"signature": SIGNATURE.lower()}, "signature_mismatch"),
        ({"signature": "v1,é"}, "signature_mismatch"),
        ({"signature": " ".join(["v1,AAAA"] * 30 + [SIGNATURE])}, "signature_mismatch"),
    ],
)
def test_W2_whatever_is_altered_is_refused(changed: dict[str, str], code: str) -> None:
    assert refused(headers(**changed)) == code


def test_W2_another_body_secret_or_no_header_is_refused() -> None:
    assert refused(headers(), BODY + b" ") == "signature_mismatch"
    assert refused(headers(), b"") == "signature_mismatch"
    assert refused(headers(), secret=b"x" * 24) == "signature_mismatch"
    for missing in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        assert refused({n: v for n, v in headers().items() if n != missing}) == "header_missing"
    with pytest.raises(SignatureInvalid):
        verify([], headers(), BODY, AT)


def test_W2_header_names_are_read_in_any_case() -> None:
    assert verify([SECRET], {n.title(): v for n, v in headers().items()}, BODY, AT) == ID
