"""Other people a caller may name: live operators of the caller's own organisation, and nobody else."""

from datetime import datetime

from api.auth import Caller, Scope
from domain.approval import Approver
from domain.errors import RequestInvalid
from schema.operators import scopes_of
from schema.session import Session


async def named_operator(session: Session, name: str, caller: Caller, at: datetime, *, field: str) -> Approver:
    """The person, or `RequestInvalid` naming the field. The caller is one without a look."""
    scopes = caller.scopes if name == caller.name else await scopes_of(session, name, at)
    if not scopes & {Scope.OPERATOR, Scope.ADMIN}:
        raise RequestInvalid("there is no operator of this name", fields=[field])
    return Approver(name, scopes)
