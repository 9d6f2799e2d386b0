"""One table: error code → HTTP status and meaning."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """What an error code stands for. `GET /errors/{code}` shows it, and a problem's `type` leads there."""

    status: int
    meaning: str


CODES: dict[str, Code] = {
    "bad_request": Code(400, "The request cannot be read."),
    "json_invalid": Code(400, "The body is not strict JSON: not UTF-8, a repeated key, NaN, NUL, too deep, too large."),
    "request_id_invalid": Code(400, "The request id, in body or header, cannot be used as a key. Nothing was done."),
    "idempotency_key_not_taken": Code(
        400, "This operation makes something new each time and takes no `Idempotency-Key`. Nothing was done."
    ),
    "path_invalid": Code(400, "A part of the path cannot be an id."),
    "not_authenticated": Code(401, "No valid key came with the request."),
    "key_expired": Code(401, "The time of this key is over."),
    "key_revoked": Code(401, "This key was revoked."),
    "session_over": Code(401, "There is no such session, or it is over. Sign in again."),
    "sign_in_failed": Code(
        401, "Organisation, login or password are wrong, the operator is disabled, or the identity provider says no."
    ),
    "sign_in_over": Code(
        410, "This sign-in was finished, took too long, or was begun in another browser. Begin it again."
    ),
    "csrf_refused": Code(403, "A request with a session's cookie did not come from our own page; `reason` says why."),
    "step_up_needed": Code(
        403,
        "Give the password again at `POST /session/step-up`, or with `method` `oidc` begin at"
        " `POST /session/oidc/step-up`; it counts for `within`.",
    ),
    "password_change_needed": Code(403, "Change the one-time password at `POST /session/password` first."),
    "scope_missing": Code(403, "The key is valid but lacks every scope in `needs`."),
    "not_an_approver": Code(403, "Your yes does not count here; `reason`: `not_named`, or `self_approval`."),
    "not_found": Code(404, "There is no such thing, or it is another organisation's."),
    "customer_not_found": Code(404, "There is no such customer. The request id is still free."),
    "conversation_not_found": Code(404, "This customer has no such conversation. The request id is still free."),
    "interaction_not_found": Code(404, "There is no such interaction."),
    "decision_not_found": Code(404, "There is no such decision."),
    "handoff_not_found": Code(404, "There is no such handoff."),
    "calendar_not_found": Code(404, "There is no such calendar, or not in this version."),
    "hold_not_found": Code(404, "There is no such legal hold."),
    "key_not_found": Code(404, "There is no such key."),
    "channel_not_found": Code(404, "This customer has no such channel."),
    "operator_not_found": Code(404, "There is no such operator."),
    "agent_not_found": Code(404, "There is no such agent. The request id is still free."),
    "invoice_not_found": Code(404, "This customer has no such invoice."),
    "approval_link_invalid": Code(404, "The link is not one of ours."),
    "method_not_allowed": Code(405, "The route does not take this method; `Allow` names those it takes."),
    "conflict": Code(409, "It is in a state that does not allow this."),
    "handoff_already_decided": Code(409, "Somebody decided first; `decision`, `by` and `at` say what, who and when."),
    "legal_hold": Code(409, "A legal hold keeps this customer's data; `hold` is its id. Nothing was erased."),
    "approval_stale": Code(409, "The digest is not the one on the table now, or the time is over. Read it again."),
    "code_over": Code(
        409, "No code can be given back or sent here; `reason`: `not_asked`, `expired`, `used_up`, `proven`, `sends`."
    ),
    "approval_link_over": Code(410, "The link was used, its time is over, or something else is on the table now."),
    "body_too_large": Code(413, "The body is larger than this server takes."),
    "media_type_unsupported": Code(415, "Send `Content-Type: application/json`."),
    "validation_failed": Code(
        422, "Some fields cannot be accepted; `errors` names them. The request id is still free."
    ),
    "request_invalid": Code(422, "A value cannot be accepted; `fields` names it."),
    "request_id_reused": Code(
        422, "The request id was used for another body; `fields` names what differs. Nothing ran."
    ),
    "code_wrong": Code(422, "This is not the code that was sent; `triesLeft` says how many answers are heard still."),
    "report_unreadable": Code(422, "This is not built like a delivery status notification. Nothing changed."),
    "calendar_invalid": Code(422, "The calendar cannot be used; `errors` names each field and what is wrong with it."),
    "never_open": Code(422, "So much open time does not come within two years."),
    "edit_refused": Code(
        422, "The edited arguments cannot be approved; `reasons` and `issues` say why. Nothing changed."
    ),
    "rate_limited": Code(429, "Too many requests; `limit` says whose. Repeat after `Retry-After`; nothing ran."),
    "internal": Code(500, "Something unexpected happened. Repeating with the same request id is safe."),
    "payload_refused": Code(503, "What Temporal keeps cannot be opened with the keys of this server. Nothing changed."),
    "sealed_unreadable": Code(
        503, "What is stored cannot be opened with the encryption keyset of this server. Nothing of it is believed."
    ),
    "overloaded": Code(
        503, "This process has as much to do as it takes on; nothing was done. Repeat after `Retry-After`."
    ),
    "dependency_down": Code(503, "Something this server needs is away; repeat the same request after `Retry-After`."),
}
"""A code that is not here is a bug and answers 500 without details."""

STATUS: dict[str, int] = {code: entry.status for code, entry in CODES.items()}

CODE_OF_STATUS: dict[int, str] = {
    400: "bad_request",
    401: "not_authenticated",
    403: "scope_missing",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "media_type_unsupported",
    422: "validation_failed",
    429: "rate_limited",
    503: "dependency_down",
}
