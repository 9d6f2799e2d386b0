"""Who said yes to what, how the proposal was edited, and which links were made and used. Append-only but for a link's
use."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text

from domain.errors import ApprovalStale
from domain.values import DecisionId, HandoffId, Json
from schema.approval_rows import GivenApproval, NewLink, Revision, raised_by
from schema.base import json_values
from schema.decisions import DecisionRepository, RecordedDecision
from schema.handoff_rows import Handoff, stage_of
from schema.handoffs import change, event
from schema.session import Session

__all__ = ["ApprovalRepository", "GivenApproval", "NewLink", "Revision", "raised_by"]

_GIVE = text(
    """
    INSERT INTO handoff_approvals (organisation, handoff_id, digest, approver, scopes, via, note, at, person)
    VALUES (:organisation, :handoff_id, :digest, :approver, CAST(:scopes AS varchar[]), :via, :note, :at, :person)
    ON CONFLICT (organisation, handoff_id, digest, approver) DO NOTHING
    """
)
_GIVEN = text(
    """
    SELECT approver, scopes, via, note, at, person FROM handoff_approvals
    WHERE organisation = :organisation AND handoff_id = :handoff_id AND digest = :digest ORDER BY at, approver
    """
)
_WAIT = change(
    """status = CASE WHEN assignee = :actor THEN 'open' ELSE status END,
       claimed_until = CASE WHEN assignee = :actor THEN NULL ELSE claimed_until END,
       assignee = nullif(assignee, :actor)""",
    "decision IS NULL",
)
_NEXT = change("revision = revision + 1", "decision IS NULL AND revision = :revision - 1")
_REVISE = text(
    """
    INSERT INTO handoff_revisions (organisation, handoff_id, revision, decision_id, stage, from_digest, digest,
                                   proposed, changes, raises, actor, at, person)
    VALUES (:organisation, :handoff_id, :revision, :decision_id, :stage, :from_digest, :digest, :proposed, :changes,
            :raises, :actor, :at, :person)
    """
).bindparams(*json_values("proposed", "changes"))
_REVISIONS = text(
    """
    SELECT revision, from_digest, digest, proposed, changes, raises, actor, at, person FROM handoff_revisions
    WHERE organisation = :organisation AND handoff_id = :handoff_id ORDER BY revision
    """
)
_LINK = text(
    """
    INSERT INTO handoff_links (organisation, id, handoff_id, digest, approver, created_by, created_at, expires_at)
    VALUES (:organisation, :id, :handoff_id, :digest, :approver, :created_by, :created_at, :expires_at)
    """
)
_USE = text(
    """
    UPDATE handoff_links SET used_at = :at
    WHERE organisation = :organisation AND id = :id AND used_at IS NULL AND expires_at > :at
    """
)
_USABLE = text(
    """
    SELECT FROM handoff_links
    WHERE organisation = :organisation AND id = :id AND used_at IS NULL AND expires_at > :at
    """
)


class ApprovalRepository:
    """Give it a handoff that is locked: what it counts must not change while it counts."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def give(
        self, handoff: Handoff, approver: str, scopes: Sequence[str], *, via: str, note: str | None, at: datetime,
        person: str | None = None,
    ) -> bool:  # fmt: skip
        """A yes to what is on the table. False if this person had said so before: the first word stands."""
        values = {"scopes": sorted(scopes), "via": via, "note": note, "at": at, "person": person}
        made = await self._session.run(_GIVE, handoff_id=handoff.id, digest=handoff.digest, approver=approver, **values)
        return made == 1

    async def wait_for_more(self, handoff: Handoff, approver: str, at: datetime) -> None:
        """One yes is not enough. Whoever gave it is done: a claim of theirs ends, so that the next one can."""
        await self._session.run(
            _WAIT, id=handoff.id, **event("approval_given", approver, at, {"digest": handoff.digest})
        )

    async def given(self, handoff_id: HandoffId, digest: str) -> tuple[GivenApproval, ...]:
        """Every yes to exactly this, in order."""
        rows = await self._session.all(_GIVEN, handoff_id=handoff_id, digest=digest)
        return tuple(GivenApproval(r.approver, tuple(r.scopes), r.via, r.note, r.at, r.person) for r in rows)

    async def revise(
        self,
        handoff: Handoff,
        decision_id: DecisionId,
        digest: str,
        *,
        proposed: Sequence[Json],
        changes: Sequence[Json],
        raises: bool,
        by: str,
        at: datetime,
        person: str | None = None,
    ) -> None:
        """Other arguments are on the table from now on; a yes to the former ones counts no longer."""
        revision = handoff.revision + 1
        details = {"revision": revision, "digest": digest}
        if not await self._session.run(_NEXT, id=handoff.id, revision=revision, **event("revised", by, at, details)):
            raise ApprovalStale("this is not what is on the table now", handoff_id=handoff.id)
        await self._session.run(
            _REVISE,
            handoff_id=handoff.id,
            revision=revision,
            decision_id=decision_id,
            stage=stage_of(handoff.id, revision),
            from_digest=handoff.digest,
            digest=digest,
            proposed=list(proposed),
            changes=list(changes),
            raises=raises,
            actor=by,
            at=at,
            person=person,
        )

    async def decision(self, handoff: Handoff) -> RecordedDecision | None:
        """What an approval of what is on the table lets run: the decision it was opened on, as last edited."""
        decisions = DecisionRepository(self._session)
        first = await decisions.stage_of(handoff.decision_id) if handoff.decision_id else None
        stage = handoff.stage or first
        return await decisions.find(handoff.interaction_id, stage) if stage else None

    async def revisions(self, handoff_id: HandoffId) -> tuple[Revision, ...]:
        """Every edit, in order."""
        rows = await self._session.all(_REVISIONS, handoff_id=handoff_id)
        return tuple(
            Revision(
                r.revision,
                r.from_digest,
                r.digest,
                tuple(r.proposed),
                tuple(r.changes),
                r.raises,
                r.actor,
                r.at,
                r.person,
            )
            for r in rows
        )

    async def add_link(self, link: NewLink) -> None:
        await self._session.run(_LINK, **{name: getattr(link, name) for name in NewLink.__dataclass_fields__})

    async def use_link(self, link_id: str, at: datetime) -> bool:
        """Once, and in its time."""
        return await self._session.run(_USE, id=link_id, at=at) == 1

    async def is_usable(self, link_id: str, at: datetime) -> bool:
        return await self._session.first(_USABLE, id=link_id, at=at) is not None
