"""What operators should know, for each of them to read."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.auth import CallerDep, Scope
from api.deps import ServicesDep
from api.fields import Instant, ObjectId, Page
from api.strict_json import StrictRoute
from domain.values import Json, Value
from schema.notifications import Notification, NotificationRepository

router = APIRouter(prefix="/notifications", tags=["notifications"], route_class=StrictRoute)


class NotificationQuery(Page):
    unread: bool = False


class ShownNotification(Value):
    id: str
    kind: str
    subject: str
    """The id of what it is about."""
    details: Json = {}
    at: Instant
    read_at: Instant | None = None
    """When you read it."""


class NotificationList(Value):
    items: tuple[ShownNotification, ...]
    next_cursor: str | None = None


@router.get("", summary="What operators should know, newest first")
async def list_notifications(
    caller: CallerDep, services: ServicesDep, query: Annotated[NotificationQuery, Query()]
) -> NotificationList:
    caller.need(Scope.OPERATOR, Scope.BUILDER)
    async with services.db.transaction(caller.organisation) as session:
        page = await NotificationRepository(session).list(
            caller.name, unread=query.unread, limit=query.limit, cursor=query.cursor
        )
    return NotificationList(items=tuple(_shown(n) for n in page.items), next_cursor=page.next_cursor)


@router.post("/{notificationId}/read", summary="You have read it")
async def read_notification(
    notification_id: Annotated[ObjectId, Path(alias="notificationId")], caller: CallerDep, services: ServicesDep
) -> ShownNotification:
    """Whoever calls, by the name of the key; for nobody else."""
    caller.need(Scope.OPERATOR, Scope.BUILDER)
    async with services.db.transaction(caller.organisation) as session:
        return _shown(await NotificationRepository(session).mark_read(notification_id, caller.name, services.now()))


def _shown(notification: Notification) -> ShownNotification:
    return ShownNotification.model_validate(notification, from_attributes=True)
