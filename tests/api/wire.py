"""What every problem document must look like, whatever went wrong."""

from typing import Any, Protocol

MEMBERS = {"type", "title", "status", "detail", "code"}


class Answered(Protocol):
    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> Any: ...
    def json(self) -> Any: ...


def problem_of(answer: Answered, status: int, code: str) -> dict[str, Any]:
    """The problem document in an answer that must be this one."""
    assert answer.status_code == status, (answer.status_code, answer.json())
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document.keys() >= MEMBERS, document
    assert (document["status"], document["code"], document["type"]) == (status, code, f"/errors/{code}"), document
    return dict(document)
