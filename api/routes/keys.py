"""Keys of programs: issued, listed, rotated, revoked. A key is shown once, by the answer that made it."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from api import keys
from api.auth import CallerDep, KeyScope, Scope
from api.deps import ServicesDep
from api.fields import Body, Flag, Instant, Name, ObjectId, Page
from api.idempotency import TakesNoKey
from api.strict_json import StrictRoute
from domain.values import Value
from schema.api_keys import ApiKey, ApiKeyRepository

router = APIRouter(prefix="/keys", tags=["keys"], route_class=StrictRoute)

KeyPath = Annotated[ObjectId, Path(alias="keyId")]
Overlap = Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(days=7))]
DAY = timedelta(days=1)


class IssueKeyBody(Body):
    """What the holder of the key does is recorded under its name."""

    name: Name
    scopes: Annotated[list[KeyScope], Field(min_length=1, max_length=10)]
    expires_at: Instant | None = None
    vouches: Flag = True
    """False for a key that lies open, as in a page's script: whoever it names as the customer proves it first."""


class RotateKeyBody(Body):
    """`overlap`: how long the old key still works; `PT0S` for one that leaked."""

    overlap: Overlap = DAY
    expires_at: Instant | None = None
    """Of the new key. Left out: as the old one was issued."""


class ShownKey(Value):
    id: str
    name: str
    scopes: tuple[str, ...]
    hint: str
    """How the key begins."""
    created_at: Instant
    created_by: str | None = None
    expires_at: Instant | None = None
    revoked_at: Instant | None = None
    replaced_by: str | None = None
    """The key that was issued in its place."""
    last_used_at: Instant | None = None
    """Give or take a minute."""
    vouches: bool = True
    """Whether what it passes on counts as coming from the customer it names."""
    owner: str | None = None
    """The operator it was issued to: to a quorum they and their keys are one person."""


class NewKey(ShownKey):
    key: str
    """`hf_live_…`, shown this once."""


class KeyList(Value):
    items: tuple[ShownKey, ...]
    next_cursor: str | None = None


@router.post("", status_code=201, summary="Issue a key", responses={409: {}}, dependencies=[TakesNoKey])
async def issue_key(body: IssueKeyBody, caller: CallerDep, services: ServicesDep, answer: Response) -> NewKey:
    caller.need(Scope.ADMIN)
    caller.need_proof(services.now())
    issued, key = await keys.issue(services, caller, body.name, body.scopes, body.expires_at, vouches=body.vouches)
    return _new(answer, issued, key)


@router.get("", summary="Every key, newest first, those that have ended too")
async def list_keys(caller: CallerDep, services: ServicesDep, query: Annotated[Page, Query()]) -> KeyList:
    caller.need(Scope.ADMIN)
    async with services.db.transaction(caller.organisation) as session:
        page = await ApiKeyRepository(session).list(limit=query.limit, cursor=query.cursor)
    return KeyList(items=tuple(_shown(key) for key in page.items), next_cursor=page.next_cursor)


@router.post(
    "/{keyId}/rotate",
    status_code=201,
    summary="A new key in place of one",
    responses={409: {}},
    dependencies=[TakesNoKey],
)
async def rotate_key(
    key_id: KeyPath, body: RotateKeyBody, caller: CallerDep, services: ServicesDep, answer: Response
) -> NewKey:
    """Same name, same scopes. The old key works until the overlap is over, and its record says what replaced it."""
    caller.need(Scope.ADMIN)
    caller.need_proof(services.now())
    new, key = await keys.rotate(services, caller, key_id, body.overlap, body.expires_at)
    return _new(answer, new, key)


@router.delete("/{keyId}", status_code=204, summary="Revoke a key, from the next request on")
async def revoke_key(key_id: KeyPath, caller: CallerDep, services: ServicesDep) -> Response:
    caller.need(Scope.ADMIN)
    await keys.revoke(services, caller, key_id)
    return Response(status_code=204)


def _shown(key: ApiKey) -> ShownKey:
    return ShownKey.model_validate(key, from_attributes=True)


def _new(answer: Response, key: ApiKey, secret: str) -> NewKey:
    answer.headers["Cache-Control"] = "no-store"
    return NewKey(**_shown(key).model_dump(by_alias=False), key=secret)
