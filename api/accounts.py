"""Operators as admins manage them: who may sign in, and what for."""

from collections.abc import Sequence

from api.auth import Caller
from api.deps import Services
from api.signing_in import hash_password
from domain.errors import Conflict
from domain.signing_in import ONE_TIME, new_password
from domain.values import Json
from schema.audit import AuditEvent, AuditRepository
from schema.operators import Operator, OperatorRepository
from schema.session import Session
from schema.sign_ins import SignInRepository

ADMIN = "admin"


async def add(services: Services, caller: Caller, login: str, scopes: Sequence[str]) -> tuple[Operator, str]:
    """The operator, and the one-time password, this once. Raises `Conflict` if the login is in use."""
    password, at = new_password(), services.now()
    hashed = await hash_password(services, password)
    async with services.db.transaction(caller.organisation) as session:
        added = await OperatorRepository(session).add(login, hashed, scopes, caller.name, at, at + ONE_TIME)
        await _audit(services, session, caller, "operator.added", added.id, scopes=list(added.scopes))
    return added, password


async def change(
    services: Services, caller: Caller, operator_id: str, *, scopes: Sequence[str] | None, enabled: bool | None
) -> Operator:
    """What is None stays. Who is disabled is signed out everywhere, at once.

    Raises `OperatorNotFound`; `Conflict` for admins who would shut themselves out."""
    if operator_id == caller.name and (enabled is False or (scopes is not None and ADMIN not in scopes)):
        raise Conflict("another admin must do this: nobody shuts themselves out")
    async with services.db.transaction(caller.organisation) as session:
        changed = await OperatorRepository(session).change(operator_id, services.now(), scopes=scopes, enabled=enabled)
        if enabled is False:
            await SignInRepository(session).end_all(operator_id, services.now())
        details: Json = {"scopes": list(changed.scopes), "enabled": changed.disabled_at is None}
        await _audit(services, session, caller, "operator.changed", operator_id, **details)
    return changed


async def reset(services: Services, caller: Caller, operator_id: str) -> tuple[Operator, str]:
    """A new one-time password, shown this once; who had the old one is signed out. Raises `OperatorNotFound`."""
    password, at = new_password(), services.now()
    hashed = await hash_password(services, password)
    async with services.db.transaction(caller.organisation) as session:
        operator = await OperatorRepository(session).set_password(operator_id, hashed, at, one_time_until=at + ONE_TIME)
        await SignInRepository(session).end_all(operator_id, at)
        await _audit(services, session, caller, "operator.password_reset", operator_id)
    return operator, password


async def _audit(
    services: Services, session: Session, caller: Caller, action: str, operator_id: str, **details: object
) -> None:
    await AuditRepository(session).append(AuditEvent(services.now(), caller.name, action, operator_id, details))
