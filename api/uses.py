"""When a credential was last used: noted beside the requests, at most once a minute for each by each process."""

import asyncio
from datetime import datetime

import structlog

from api.lately import Lately
from domain.errors import HoldfastError
from domain.values import OrganisationId
from schema.api_keys import ApiKeyRepository
from schema.session import Database, Session
from schema.sign_ins import SignInRepository

log = structlog.get_logger("uses")


class Uses:
    """What was used and is not written down yet. Seeing a use costs the request no round trip."""

    def __init__(self) -> None:
        self._noted = Lately()
        self._waiting: dict[str, tuple[OrganisationId, datetime]] = {}
        self._something = asyncio.Event()

    def saw(self, organisation: OrganisationId, credential: str, at: datetime) -> None:
        """`credential` is the id of a key or of a session."""
        if self._noted.is_new(credential, at):
            self._waiting[credential] = (organisation, at)
            self._something.set()

    async def next(self) -> dict[str, tuple[OrganisationId, datetime]]:
        """Waits until there is something, and takes it all."""
        await self._something.wait()
        self._something.clear()
        taken, self._waiting = self._waiting, {}
        return taken


async def keep_noting(uses: Uses, db: Database) -> None:
    """Runs as long as the process. What cannot be written now is forgotten: the next minute notes it again."""
    while True:
        for credential, (organisation, at) in (await uses.next()).items():
            try:
                async with db.transaction(organisation) as session:
                    await _note(session, credential, at)
            except HoldfastError as error:
                log.info("cannot note a use now", code=error.code)
            except Exception as error:  # this task must outlive whatever went wrong in one round
                log.error("noting a use failed", error=type(error).__name__)


async def _note(session: Session, credential: str, at: datetime) -> None:
    if credential.startswith("ses_"):
        await SignInRepository(session).seen(credential, at)
    else:
        await ApiKeyRepository(session).used(credential, at)
