"""Identity providers (OpenID Connect): what they publish about themselves, and codes turned into believed claims.

Everything a provider says is bounded, read as data and checked; every call goes by the one client that calls outside.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import quote_plus, urlencode

from adapters.gateways.id_tokens import KeyUnknown, PublicKeys, verified
from adapters.gateways.outside import AddressRefused, Answer, OutsideClient, Unreachable
from domain.errors import DependencyDown, RequestInvalid
from domain.id_token import IdTokenRefused
from domain.outside import NOBODY, AllowList, Use, target_of
from domain.redemption import Endpoints, Redemption
from domain.values import OrganisationId

KNOWN_FOR = timedelta(minutes=10)
"""A provider's documents are read anew after this, so that a withdrawn key is not believed for longer."""
ASK_AGAIN = timedelta(seconds=30)
"""An unknown key is asked about once in this time: tokens are cheap to make up."""
MOST_KNOWN = 500
LONGEST_URL = 2_000
JSON_ACCEPTED = {"Accept": "application/json"}


@dataclass
class _Known:
    """What one provider said, to one organisation."""

    endpoints: Endpoints
    at: datetime
    keys: PublicKeys | None = None
    asked_again: datetime | None = None


@dataclass
class OidcGateway:
    """One per process. Nothing is shared between organisations: what is allowed to one need not be to another."""

    client: OutsideClient
    now: Callable[[], datetime]
    allowed: AllowList = NOBODY
    _known: dict[tuple[OrganisationId, str], _Known] = field(default_factory=dict)

    async def endpoints(self, organisation: OrganisationId, issuer: str) -> Endpoints:
        """Where the provider is talked to. Raises `DependencyDown`."""
        return (await self._provider(organisation, issuer)).endpoints

    async def redeem(self, wanted: Redemption) -> Mapping[str, object]:
        """The claims of the ID token the code stands for, its signature checked. Raises `IdTokenRefused`,
        `DependencyDown`."""
        known = await self._provider(wanted.organisation, wanted.issuer)
        token = await self._token(known.endpoints, wanted)
        keys = await self._keys(wanted.organisation, known, anew=False)
        try:
            return verified(token, keys)
        except KeyUnknown:
            again = await self._keys(wanted.organisation, known, anew=True)
        try:
            return verified(token, again)
        except KeyUnknown:
            raise IdTokenRefused("key_unknown") from None

    async def close(self) -> None:
        await self.client.close()

    async def _provider(self, organisation: OrganisationId, issuer: str) -> _Known:
        known = self._known.get((organisation, issuer))
        if known is None or self.now() - known.at > KNOWN_FOR:
            known = _Known(await self._discover(organisation, issuer), self.now())
            while len(self._known) >= MOST_KNOWN:
                self._known.pop(next(iter(self._known)))
            self._known[organisation, issuer] = known
        return known

    async def _discover(self, organisation: OrganisationId, issuer: str) -> Endpoints:
        url = f"{issuer.removesuffix('/')}/.well-known/openid-configuration"
        said = _document(await self._call("GET", url, organisation, headers=JSON_ACCEPTED))
        # Who speaks for another issuer speaks for nobody (mix-up).
        if said.get("issuer") != issuer:
            raise _down("other_issuer")
        methods = said.get("token_endpoint_auth_methods_supported")
        return Endpoints(
            authorization=self._address(said, "authorization_endpoint", organisation),
            token=self._address(said, "token_endpoint", organisation),
            keys=self._address(said, "jwks_uri", organisation),
            takes_basic=not isinstance(methods, list) or "client_secret_basic" in methods,
            names_itself=said.get("authorization_response_iss_parameter_supported") is True,
        )

    def _address(self, said: Mapping[str, object], name: str, organisation: OrganisationId) -> str:
        url = said.get(name)
        if not isinstance(url, str) or len(url) > LONGEST_URL:
            raise _down("unreadable")
        try:
            target_of(url, self.allowed.of(organisation, Use.IDENTITY))
        except RequestInvalid:
            raise _down("address_refused") from None
        return url

    async def _keys(self, organisation: OrganisationId, known: _Known, *, anew: bool) -> PublicKeys:
        at = self.now()
        if anew and (known.asked_again is None or at - known.asked_again > ASK_AGAIN):
            known.asked_again, known.keys = at, None
        if known.keys is None:
            said = _document(await self._call("GET", known.endpoints.keys, organisation, headers=JSON_ACCEPTED))
            known.keys = PublicKeys.read(said)
        return known.keys

    async def _token(self, endpoints: Endpoints, wanted: Redemption) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": wanted.code,
            "redirect_uri": wanted.redirect_uri,
            "code_verifier": wanted.verifier,
        }
        headers = {**JSON_ACCEPTED, "Content-Type": "application/x-www-form-urlencoded"}
        if wanted.client_secret is not None and endpoints.takes_basic:
            headers["Authorization"] = _basic(wanted.client_id, wanted.client_secret)
        else:
            form["client_id"] = wanted.client_id
            if wanted.client_secret is not None:
                form["client_secret"] = wanted.client_secret
        content = urlencode(form).encode()
        answer = await self._call("POST", endpoints.token, wanted.organisation, content=content, headers=headers)
        token = _granted(answer).get("id_token")
        if not isinstance(token, str):
            raise IdTokenRefused("token_missing")
        return token

    async def _call(
        self, method: str, url: str, organisation: OrganisationId, *, headers: Mapping[str, str], content: bytes = b""
    ) -> Answer:
        whose = (organisation, Use.IDENTITY)
        try:
            return await self.client.request(method, url, content=content, headers=headers, whose=whose)
        except AddressRefused:
            raise _down("address_refused") from None
        except Unreachable as failure:
            raise _down(failure.code) from None


def _granted(answer: Answer) -> Mapping[str, object]:
    """What the token endpoint gave. Raises `IdTokenRefused` where it says that code or client are no good."""
    if answer.status in {400, 401, 403}:
        try:
            error = _read(answer.body).get("error")
        except ValueError:
            error = None
        raise IdTokenRefused("client" if error == "invalid_client" or answer.status == 401 else "code")
    return _document(answer)


def _document(answer: Answer) -> Mapping[str, object]:
    if answer.status != 200:
        raise _down(f"http_{answer.status}")
    try:
        return _read(answer.body)
    except ValueError:
        raise _down("unreadable") from None


def _read(body: bytes) -> Mapping[str, object]:
    try:
        found: object = json.loads(body)
    except RecursionError:
        raise ValueError("too deep") from None
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


def _basic(client_id: str, secret: str) -> str:
    """RFC 6749 2.3.1: each part is form-encoded before they are joined."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _down(reason: str) -> DependencyDown:
    return DependencyDown("the identity provider cannot be used now", dependency="identity_provider", reason=reason)
