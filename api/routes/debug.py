"""What left this machine, for whoever tries the product out. The local stack has these routes, nothing else does."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.auth import LOCAL_ORGANISATION, Caller, CallerDep, Scope
from api.deps import Services, ServicesDep
from api.fields import Page
from api.routes.deliveries import DeliveryList, summaries
from api.strict_json import StrictRoute
from domain.errors import NotFound
from domain.ports import MailSink, StoredMail
from domain.values import Value
from schema.deliveries import DeliveryRepository

router = APIRouter(prefix="/debug", tags=["debug"], route_class=StrictRoute)

MailName = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
MOST = 100


class MailList(Value):
    items: tuple[StoredMail, ...]


@router.get("/mail", summary="The latest mails the local sink took")
async def list_mail(caller: CallerDep, services: ServicesDep) -> MailList:
    caller.need(Scope.ADMIN)
    sink = _sink(services, caller)
    return MailList(items=sink.list(MOST) if sink else ())


@router.get("/mail/{name}", summary="One mail the local sink took")
async def get_mail(name: MailName, caller: CallerDep, services: ServicesDep) -> StoredMail:
    caller.need(Scope.ADMIN)
    sink = _sink(services, caller)
    mail = sink.find(name) if sink else None
    if mail is None:
        raise NotFound("no such mail")
    return mail


@router.get("/outbox", summary="Everything that goes out, newest first")
async def list_outbox(caller: CallerDep, services: ServicesDep, query: Annotated[Page, Query()]) -> DeliveryList:
    """The same as `/deliveries`."""
    caller.need(Scope.ADMIN)
    async with services.db.transaction(caller.organisation) as session:
        page = await DeliveryRepository(session).list(limit=query.limit, cursor=query.cursor)
        return DeliveryList(items=await summaries(session, page.items), next_cursor=page.next_cursor)


def _sink(services: Services, caller: Caller) -> MailSink | None:
    """One sink takes the mail of every organisation and does not know whose it is: only who owns the machine looks."""
    return services.mail_sink if caller.organisation == LOCAL_ORGANISATION else None
