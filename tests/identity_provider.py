"""An identity provider on the loopback interface: OpenID Connect as the standard has it, over a raw socket, and every
way it can go wrong."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import secrets
import time
import warnings
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

from joserfc import jwk, jws
from joserfc.errors import SecurityWarning

Claims = dict[str, Any]


def signed(claims: Claims, key: Any, alg: str, kid: str | None) -> str:
    header = {"alg": alg, **({"kid": kid} if kid else {})}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        registry = jws.JWSRegistry(algorithms=[alg])
        return jws.serialize_compact(header, json.dumps(claims).encode(), key, registry=registry)


def unsigned(claims: Claims) -> str:
    """`alg: none`, as a forger writes it."""
    parts = (json.dumps({"alg": "none"}), json.dumps(claims))
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts) + "."


def shared(claims: Claims, secret: bytes, kid: str) -> str:
    """`HS256` by hand: no library signs with a public key."""
    parts = (json.dumps({"alg": "HS256", "kid": kid}), json.dumps(claims))
    head = ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)
    signature = hmac.new(secret, head.encode(), hashlib.sha256).digest()
    return f"{head}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


RSA = jwk.RSAKey.generate_key(2048)
EC = jwk.ECKey.generate_key("P-256")
ED = jwk.OKPKey.generate_key("Ed25519")
OTHER_RSA = jwk.RSAKey.generate_key(2048)


NONSENSE = {"\x00<html>": "garbage", "[]": "list", "[" * 100_000: "deep"}


@dataclass
class IdentityProvider:
    """`faults` is by path: `hang`, `drop`, `huge`, `flood`, `garbage`, `list`, `redirect`, or a status line."""

    port: int = 0
    client_id: str = "holdfast"
    client_secret: str | None = "s3cret: of the+client%"
    person: Claims = field(default_factory=lambda: {"sub": "subject-1"})
    """Who sits before the browser, and what is known about them."""
    key: Any = field(default_factory=lambda: RSA)
    alg: str = "RS256"
    kid: str | None = "key-1"
    published: dict[str, Any] = field(default_factory=lambda: {"key-1": RSA})
    metadata: Claims = field(default_factory=dict)
    """Replaces what the discovery document says; None takes it out."""
    claims: Claims = field(default_factory=dict)
    """Replaces what a token says; None takes it out."""
    forge: Callable[[Claims], str] | None = None
    """Makes the token instead of us."""
    faults: dict[str, str] = field(default_factory=dict)
    names_itself: bool = True
    signed_in_at: float | None = None
    """When the person gave proof, as the provider has it; None: at each request that asks for it."""
    heard: list[tuple[str, str]] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def count(self, path: str) -> int:
        return [p for _, p in self.heard].count(path)

    def authorize(self, url: str) -> str:
        """What a browser is led to once the person has agreed. The code is good once, with the verifier."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert url.startswith(f"{self.issuer}/authorize?"), url
        assert (asked["response_type"], asked["client_id"]) == ("code", self.client_id)
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        answer = {"code": code, "state": asked["state"]} | ({"iss": self.issuer} if self.names_itself else {})
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._answer(reader, writer)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        method, path, _ = head[0].split()
        self.heard.append((method, path))
        status, content = self._document(method, path, headers, body.decode())
        fault = self.faults.get(path)
        if fault in {"drop", "hang", "flood"}:
            await _misbehave(fault, reader, writer)
            return
        extra = ""
        if fault == "huge":
            content = json.dumps({"filler": "x" * 1_000_000, **json.loads(content)})
        elif fault == "redirect":
            status, extra = "302 Found", f"Location: {self.issuer}/elsewhere\r\n"
        elif fault is not None:
            status, content = {v: ("200 OK", k) for k, v in NONSENSE.items()}.get(fault, (fault, content))
        sent = content.encode()
        head_of = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{extra}Content-Length: {len(sent)}"
        writer.write(f"{head_of}\r\nConnection: close\r\n\r\n".encode() + sent)
        await writer.drain()

    def _document(self, method: str, path: str, headers: dict[str, str], body: str) -> tuple[str, str]:
        match method, path:
            case "GET", "/.well-known/openid-configuration":
                return "200 OK", json.dumps(self._metadata())
            case "GET", "/keys":
                keys = [{**key.as_dict(private=False), "kid": kid} for kid, key in self.published.items()]
                return "200 OK", json.dumps({"keys": keys})
            case "POST", "/token":
                return self._token(headers, {n: v[0] for n, v in parse_qs(body).items()})
        return "404 Not Found", "{}"

    def _metadata(self) -> Claims:
        said = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "authorization_response_iss_parameter_supported": self.names_itself,
            **self.metadata,
        }
        return {name: value for name, value in said.items() if value is not None}

    def _token(self, headers: dict[str, str], form: dict[str, str]) -> tuple[str, str]:
        self.forms.append(form)
        if not self._is_client(headers.get("authorization", ""), form):
            return "401 Unauthorized", '{"error": "invalid_client"}'
        asked = self._codes.pop(form.get("code", ""), None)
        challenge = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        fits = (
            asked is not None
            and form.get("grant_type") == "authorization_code"
            and form.get("redirect_uri") == asked["redirect_uri"]
            and base64.urlsafe_b64encode(challenge).decode().rstrip("=") == asked.get("code_challenge")
        )
        if asked is None or not fits:
            return "400 Bad Request", '{"error": "invalid_grant"}'
        claims = self._claims(asked)
        token = self.forge(claims) if self.forge else signed(claims, self.key, self.alg, self.kid)
        return "200 OK", json.dumps({"access_token": "unused", "token_type": "Bearer", "id_token": token})

    def _is_client(self, header: str, form: dict[str, str]) -> bool:
        if header:
            pair = base64.b64decode(header.removeprefix("Basic ")).decode().split(":")
            given = tuple(map(unquote_plus, pair))
        else:
            given = (form.get("client_id", ""), form.get("client_secret", ""))
        return given == (self.client_id, self.client_secret or "")

    def _claims(self, asked: dict[str, str]) -> Claims:
        at = int(time.time())
        proved = self.signed_in_at if self.signed_in_at is not None else at
        claims = {
            "iss": self.issuer,
            "aud": asked["client_id"],
            "exp": at + 300,
            "iat": at,
            "nonce": asked.get("nonce"),
            **({"auth_time": int(proved)} if "max_age" in asked else {}),
            **({"acr": asked["acr_values"].split()[0]} if "acr_values" in asked else {}),
            **self.person,
            **self.claims,
        }
        return {name: value for name, value in claims.items() if value is not None}


async def _misbehave(fault: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hears it, and then hangs up, says nothing, or says far too much."""
    if fault == "drop":
        writer.transport.abort()
    elif fault == "hang":
        await reader.read()
    else:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n{")
        while True:
            writer.write(b" " * 65_536)
            await writer.drain()


@contextlib.asynccontextmanager
async def identity_provider() -> AsyncIterator[IdentityProvider]:
    """Listens on a free port until the block ends."""
    provider = IdentityProvider()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.port = server.sockets[0].getsockname()[1]
    try:
        yield provider
    finally:
        server.close()
