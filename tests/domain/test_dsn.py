"""Reports of mail that did not arrive, as servers really write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.dsn import DeliveryReport, read_report
from domain.tools.send_email import message_id

OURS = message_id("eff_0192f3c4d5e67890abcdef0123456789")


def bounce(fields: str, returned: str, kind: str = "text/rfc822-headers", envelope: str = "") -> bytes:
    return f"""\
Return-Path: <>
From: MAILER-DAEMON@mx.example.net (Mail Delivery System)
To: support@example.com
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="4C2B.1700000000/mx.example.net"

This is a MIME-encapsulated message.

--4C2B.1700000000/mx.example.net
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

<ada@example.org>: host mx.example.org[192.0.2.1] said: 550 5.1.1 No such user (in reply to RCPT TO command)

--4C2B.1700000000/mx.example.net
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net
X-Postfix-Queue-ID: 4C2B
{envelope}Arrival-Date: Fri, 20 Nov 2026 12:00:00 +0000 (UTC)

{fields}
--4C2B.1700000000/mx.example.net
Content-Description: Undelivered Message
Content-Type: {kind}

{returned}
--4C2B.1700000000/mx.example.net--
""".replace("\n", "\r\n").encode()


FAILED = """\
Final-Recipient: rfc822; ada@example.org
Original-Recipient: rfc822;ada@example.org
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.example.org
Diagnostic-Code: smtp; 550 5.1.1 No such user
"""
HEADERS = f"Return-Path: <support@example.com>\nFrom: support@example.com\nMessage-ID: {OURS}\nSubject: Your refund\n"


def test_a_postfix_bounce_names_our_mail_and_why() -> None:
    assert read_report(bounce(FAILED, HEADERS)) == (DeliveryReport(message_id=OURS, action="failed", status="5.1.1"),)


def test_a_whole_mail_given_back_is_read_as_well() -> None:
    (report,) = read_report(bounce(FAILED, HEADERS + "\nHello Ada,\n", kind="message/rfc822"))
    assert (report.message_id, report.has_failed, report.code) == (OURS, True, "dsn_5_1_1")


def test_without_the_mail_the_envelope_id_we_gave_tells() -> None:
    envelope = f"Original-Envelope-Id: {OURS.strip('<>')}\n"
    (report,) = read_report(bounce(FAILED, "Subject: Your refund\n", envelope=envelope))
    assert report.message_id == OURS


def test_the_returned_header_may_be_folded_and_in_any_case() -> None:
    (report,) = read_report(bounce(FAILED, f"message-id:\n {OURS}\nSubject: x\n"))
    assert report.message_id == OURS


def test_a_delay_is_no_failure() -> None:
    delayed = FAILED.replace("Action: failed", "Action: delayed").replace("5.1.1", "4.4.1")
    (report,) = read_report(bounce(delayed, HEADERS))
    assert (report.has_failed, report.status) == (False, "4.4.1")


def test_an_exchange_report_for_two_recipients() -> None:
    second = FAILED.replace("ada@", "bob@").replace("Status: 5.1.1", "Status: 5.2.2")
    reports = read_report(bounce(f"{FAILED}\n{second}", HEADERS))
    assert [r.status for r in reports] == ["5.1.1", "5.2.2"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"From: ada@example.org\r\nSubject: out of office\r\nMessage-ID: <1@x>\r\n\r\nI am away.",
        bounce(FAILED.replace("Action: failed", "Action: exploded"), HEADERS),
        bounce(FAILED, "Subject: no id at all\n"),
        bounce("", HEADERS),
    ],
)
def test_what_is_no_report_about_a_known_mail_says_nothing(raw: bytes) -> None:
    assert read_report(raw) == ()


def test_no_address_is_in_what_is_read() -> None:
    (report,) = read_report(bounce(FAILED, HEADERS))
    assert "ada" not in report.model_dump_json()


@given(st.binary(max_size=2_000), st.integers(0, 1_500))
def test_X7_any_bytes_are_a_report_or_none(noise: bytes, at: int) -> None:
    whole = bounce(FAILED, HEADERS)
    for raw in (noise, whole[:at] + noise + whole[at:]):
        for report in read_report(raw):
            assert report.message_id.startswith("<")
