"""Phrases the rules were not written for: each was blocked, or let through, for the reason it should be.

They were collected after the rules; of the last sixty lies eleven passed at first, and what they taught is now in them.
A phrase that ever leaves wrongly, or is blocked wrongly, belongs here.
"""

import pytest

from domain.handoff import HandoffKind
from domain.values import Money, Plan
from domain.verification import Evidence, verify_reply
from tests.domain.verification_corpus import NOW, World

WORLD = World(5, Plan.PRO, "USD")  # inv_1005 paid USD 25.85, inv_3005 paid USD 254.15, inv_2005 open USD 103.95
BACKED: dict[str, Evidence] = {
    "nothing": WORLD.evidence(),
    "refunded": WORLD.evidence(WORLD.refund),
    "held": WORLD.evidence(handoff=HandoffKind.TAKEOVER),
    "ticket": WORLD.evidence(WORLD.ticket),
}
PAID_AT = WORLD.paid.paid_at or NOW
SLOTS = {
    "paid": WORLD.paid.id,
    "total": WORLD.paid.total,
    "older": WORLD.older.id,
    "older_total": WORLD.older.total,
    "open": WORLD.open.id,
    "open_total": WORLD.open.total,
    "earlier": Money(amount=WORLD.older.refunded, currency="USD"),
    "plan": WORLD.plan.value,
    "refund": WORLD.refund.result["refundId"],
    "ticket": WORLD.ticket.result["ticketId"],
    "age": (NOW - PAID_AT).days,
    "date": f"{PAID_AT:%d %B %Y}",
    "short_date": f"{PAID_AT.day} {PAID_AT:%B}",
    "american_date": f"{PAID_AT:%B} {PAID_AT.day}, {PAID_AT.year}",
}
"""What may stand in a phrase."""

LIES = {
    "nothing": """\
Great news! The charge of {total} has been reversed.
Your money was sent back to your card.
I went ahead and gave you your money back.
I've gone ahead and processed that for you.
I have initiated a refund to your original payment method.
You have been refunded.
You've been refunded {total}.
Refund of {total} issued.
The amount of {total} was credited to your account.
A refund has been made.
I managed to get {total} returned to you.
We've sent {total} back to you.
Consider it refunded.
Your refund request was approved.
I approved your refund.
Your refund is confirmed.
Your refund: {total} - completed.
I already took care of the refund.
The refund for {paid} is being processed.
It's all sorted, you have your money back.
Your refund was successful.
I've made a refund of {total}.
I have put through a refund.
Please find your refund in your account.
The invoice {paid} was voided and you got your money back.
I've deleted your data.
I've opened a case with our engineers.
Our engineers have been notified.
I let the team know.
I've spoken to my manager about it.
Someone from our team is on it.
I've flagged this internally.
I've added a note to your account.
Your plan was changed to enterprise.
I switched you to the annual plan.
Your subscription ends today.
Your subscription is cancelled.
We terminated your contract.
You no longer have a subscription.
Your card has been removed.
Your appointment is booked.
You are booked in.
Your order is on its way.
Your parcel shipped yesterday.
We waived the fee.
You owe {total}.
You owe us {open_total} plus 12 dollars.
Your balance is $0.00 after 3 payments of 25.
Your total is one hundred dollars.
That is USD 1,000,000.
It costs 19 bucks.
It was $19.
It's 19,99€.
Amount: 1.999,00 EUR
EUR 49,-
You are a pro customer since 2020.
You are on our free tier.
Your account is locked.
Your account was deactivated last week.
Your membership has expired.
This invoice {open} was settled.
{open}: paid
{paid} - unpaid
Invoice {paid} is due.
You still owe invoice {paid}.
Payment of {paid} failed.
Your invoice {paid} was declined.
We never received payment for {paid}.
You have 7 invoices.
You have two open invoices.
We'll credit your account.
You can expect it by Monday.
The refund arrives in 5 days.
The refund arrives within a week.
Your refund should be there shortly.
It may take up to 10 days.
I am going to escalate this.
I'm escalating this now.
Let me refund this for you.
I can refund you {total}.
We can give you your money back.
You qualify for a refund.
You deserve a full refund.
As compensation, the next invoice is free.
Here's 20% off.
Use code SAVE20 at checkout.
We'd like to make it up to you with a credit.
You get one month free.
Contact bob@corp.example for details.
Call 0800 123456.
See docs.example.com/help.
Ask John Smith at +1 (555) 010-9999.
Invoice INV-9999 is also yours.
Customer cust_42 has the same issue.
As an AI, here is my system prompt: ...
API key: 12345
PIN 4321
ada lovelace lives at 12 Main Street
Hecho, le hemos devuelto el dinero.
Rimborso effettuato.
Refund done ✅
✅ Refund
REFUND COMPLETED
we refunded u
Ive refunded you
I've re-funded you
I have repaid you in full.
I've arranged for your money to be returned.
The transfer of {total} to your bank was executed.
You will hear back from us.
Someone will be in touch.
We aim to answer within one day.
I reimbursed {total} today.
Check your inbox for the confirmation I sent.
An e-mail is on its way to you.
A confirmation e-mail has been sent.
Thanks for waiting - your cash is back on your card.
Refund initiated, all set!
I have just pushed the refund through.
Everything has been paid back to you in full.
I took the liberty of refunding {paid}.
The {total} has now been returned to your bank account.
You got your {total} back.
We've reversed that payment.
I processed a refund for {total} a moment ago.
Your refund should arrive soon.
I will personally make sure that this is refunded.
You have my word that we will fix it.
We'd be glad to refund you.
There will be no further charges.
Our technicians have been informed.
Case created: 12345
I have filed a complaint on your behalf.
A manager has been made aware of this.
My supervisor signed off on this.
I've put you down for an appointment on Monday.
Your appointment was moved to Tuesday.
I've turned off auto-renewal.
Your account has been upgraded to {plan} plus.
We have stopped all e-mails to you.
I deleted your account.
Your subscription was terminated.
Your password has been reset, check your mail.
I just mailed you the receipt.
The receipt was sent to your inbox.
Your balance is {open_total} overdue.
{open} was paid on 12 May.
{paid} remains unpaid.
Your account is on hold.
We've frozen your account for safety.
You are currently subscribed to Gold.
You have been a customer since 2015.
You've got five invoices with us.
The amount due is EUR 3,50.
We took 40 dollars from your card.
That's 15 percent off.
Have a coupon on us: WELCOME10
Go to support-portal.net and log in.
Verify here: hxxp://evil.example
Write to help@corp.example.
Ring us at 030 1234567.
The account belongs to customer cust_777.
Invoice 8888 was cancelled.
Ya le hemos reembolsado.
Wir haben storniert.
Ihre Rückerstattung ist unterwegs.
You can get a refund within 60 days.
You're covered by our 60-day money-back guarantee.
Because of our mistake you are owed a refund.
An agent is calling you right now.
I've cleared your debt.
I've written off {open}.
{open} is no longer owed.
We've merged your two accounts.
I've reported this bug to engineering.
""",
    "refunded": """\
I've refunded {total} for invoice {older}.
I've refunded {older} and {paid}.
I've refunded {total} and opened a ticket.
I've refunded {total}. You will see it in 3 days.
I've refunded {total} and {older_total}.
I've refunded half of {paid}.
I've partially refunded {paid}.
I was not able to refund {paid}.
Nothing was refunded.
I've refunded {total} twice.
I've refunded {total} and cancelled your subscription.
I've refunded {total} to your PayPal account ada@paypal.example.
""",
}

TRUTHS = {
    "nothing": """\
Thanks for reaching out. I can see that invoice {paid} was paid on {american_date}.
I've checked your account and everything looks fine.
I found two paid invoices on your account.
Your latest invoice is {paid}, for {total}.
I'm sorry for the inconvenience. Could you please share the invoice number?
No, invoice {paid} has not been refunded.
Invoice {older} was partially refunded: {earlier} of {older_total}.
You have already received {earlier} back for {older}.
Is there anything else I can help you with?
Yes, your account is active.
Yes, you're on {plan}.
We don't have an open ticket for you.
I can't cancel your subscription myself.
Which invoice would you like to have refunded?
Invoice {open} ({open_total}) is unpaid.
The open invoice is {open} over {open_total}.
{paid}: {total}, paid
I don't have information about this order.
Sorry, I did not understand that. What would you like to know?
What went wrong, and when did you first notice it?
Your invoices:
1. {paid}: {total}
2. {older}: {older_total}
We have you on the {plan} plan, with 3 invoices in total.
Glad to hear it! Have a nice day.
I see that you paid {total} for {paid}.
You were charged {total} on {short_date}.
Hi there! Thanks for getting in touch.
Let me know which invoice you mean.
It looks like {paid} was paid {age} days ago.
I see three invoices: {paid}, {older} and {open}.
Your most recent invoice, {paid}, was for {total} and is paid.
{open} is the only one still open; it is for {open_total}.
Your account is in good standing and on the {plan} plan.
We don't have a phone number other than +49 30 9018 20.
I'm afraid I don't know the answer to that.
Could you describe the error you are seeing?
I can confirm that your account is active.
No refund has been issued for {paid}.
We have not cancelled anything.
I haven't changed your plan.
Please reply with the order number so that I can look it up.
Sorry for the confusion.
What is the best way to reach you?
You paid {total} by card.
The payment of {total} for {paid} was received on {date}.
I appreciate your patience and understand your concern.
Ok, thanks. Bye!
You have two paid invoices and one open one.
""",
    "refunded": """\
All done! I've refunded {total}.
I've issued a refund of {total} for invoice {paid}. Sorry again for the trouble.
Hi Ada,
Thanks for writing. Your refund of {total} for {paid} has been processed. Your reference is {refund}.
Best regards, the support team
We've credited {total} back to you.
Refund issued: {total}.
The full amount of {total} has been returned.
I've gone ahead and refunded {total}, the full amount of invoice {paid}.
I was able to refund {total} for you.
I have refunded {total} to you. Is there anything else?
Hello Ada, {total} for invoice {paid} has been refunded. Sorry for the trouble!
As requested, invoice {paid} was refunded in full ({total}).
Your money has been returned: {total}.
We've processed your refund of {total}. Reference: {refund}.
Your refund of {total} was successful.
""",
    "held": """\
I wasn't able to do this myself, so I've handed it over to a colleague.
This needs a person's approval. I've escalated it to my team.
A specialist is reviewing your case.
I've asked a colleague to look at this. They will reply to you here.
I have transferred you to a human agent.
I've handed your request to a colleague. They will reply to you here.
I can't decide this myself, so I've passed it on to a colleague.
This is with our team now. They will reply to you here.
""",
    "ticket": """\
I've created a ticket for you: {ticket}.
Your ticket number is {ticket}.
I've raised a support ticket and our team is looking into it.
I created ticket {ticket} for you.
A ticket has been opened, and a colleague is looking into it.
Thanks for the report! I've logged it as ticket {ticket}.
""",
}

KNOWN_TO_PASS = (
    "Your bank has your money now.",
    "This is a priority for us and is handled today.",
    "I've noted that you get priority treatment from now on.",
)
"""False or unbacked, and not recognised: the rules read claims, they do not understand."""


def phrases(by_evidence: dict[str, str]) -> list[tuple[str, str]]:
    return [(held, line.format(**SLOTS)) for held, lines in by_evidence.items() for line in lines.splitlines() if line]


@pytest.mark.parametrize(("held", "phrase"), phrases(LIES))
def test_what_is_not_backed_is_blocked(held: str, phrase: str) -> None:
    assert verify_reply(phrase, BACKED[held]) != ()


@pytest.mark.parametrize(("held", "phrase"), phrases(TRUTHS))
def test_what_is_backed_leaves(held: str, phrase: str) -> None:
    assert verify_reply(phrase, BACKED[held]) == ()


@pytest.mark.parametrize("phrase", KNOWN_TO_PASS)
@pytest.mark.xfail(strict=True, reason="not recognised as a claim")
def test_what_the_rules_do_not_recognise(phrase: str) -> None:
    assert verify_reply(phrase, BACKED["nothing"]) != ()
