"""What is no HTTP reaches no route: the parser itself answers it, as a problem document like every other error."""

import json
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_BODY = json.dumps(
    {
        "type": "/errors/bad_request",
        "title": HTTPStatus.BAD_REQUEST.phrase,
        "status": 400,
        "detail": "this is no HTTP request; nothing was done",
        "code": "bad_request",
    },
    separators=(",", ":"),
).encode()
ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\n"
    b"X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)
"""Says nothing of what came: it may be anything."""


class ProblemProtocol(HttpToolsProtocol):
    """uvicorn's own, but for the words in which it refuses a malformed method, target, header or length."""

    def send_400_response(self, msg: str) -> None:
        """Answers and hangs up: where a next request would begin is not known."""
        self.transport.write(ANSWER)
        self.transport.close()
