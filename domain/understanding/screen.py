"""What is found by rule before any model looks: a wish for a person, an opt-out, an attempt to give us orders.

Every repetition in these patterns is bounded, so that no text makes them slow; a test holds them to it.
"""

import re

from domain.understanding.text import normal, sentence_start
from domain.values import Value

_PERSON = (
    r"(?:(?:real|live|actual|human|living|proper|physical|flesh and blood) )?"
    r"(?:human(?: being)?|humna|huamn|person|preson|people|agent|agnet|operator|representative|representitive"
    r"|represenative|reps?|advisor|adviser|supervisor|manager|staff|employee|someone|somebody"
    r"|one of your (?:people|team)"
    r"|colleague|team member|member of (?:your|the) (?:team|staff)|(?:customer|support|service|sales|billing) "
    r"(?:service|support|agent|rep|team|representative|person|staff)|support)s?"
)
_HUMAN = (
    r"(?:(?:real|live|actual|human|living|proper) )?(?:human(?: being)?|humna|huamn|person|preson|agent|agnet|operator"
    r"|rep|representative|representitive|represenative)"
)
_ANY = r"(?:(?:an?|the|some|any|your|another|one of your|real|to|with) ){0,3}"
_NOT_PEOPLE = (
    r"(?! ?(?:resources?|error|rights?|anatomy|body|heart|readable|licen[cs]es?|seats?|tokens?|keys?|api|plans?"
    r"|accounts?"
    r"|roles?|ids?|fields?|profiles?|records?|software|version|permissions?|dashboard|names?|who can sign|'s|-))\b"
)

_WANTS_HUMAN = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?:talk|speak|speaking|talking|chat|chatting)(?: directly| right now| please)? (?:to|2"
        rf"|with) {_ANY}{_PERSON}{_NOT_PEOPLE}",
        rf"\b(?:want|wanna|need|get me|give me|gimme|get|find me|send me|bring me|prefer|request|demand"
        rf"|asking for|ask for|looking for|reach|contact|have|like) "
        rf"(?:an?|the|some|any|your|to (?:reach|contact|get|have)|to deal with|dealing with)(?: (?:an?"
        rf"|the))? {_HUMAN}\b{_NOT_PEOPLE}",
        rf"\b(?:get|give|find|send|want|need|gimme)(?: me)? (?:a )?(?:real |live |actual )?(?:human"
        rf"|person){_NOT_PEOPLE}",
        rf"\b(?:transfer|connect|escalate|forward|hand|put|pass|route|redirect|switch|move|patch|refer)"
        rf"(?: (?:me|us|this|it|the|my|chat|case|conversation|issue|ticket|over|through|on|up|please|straight"
        rf"|now)){{0,5}} (?:to|with) {_ANY}{_PERSON}{_NOT_PEOPLE}",
        r"\b(?:(?:please|pls|must|want to|need to|i'd like to|can you|could you|would you) escalate"
        r"|escalate (?:this|it|my|the (?:case|issue|matter)))\b",
        r"\b(?:real|live|actual|flesh and blood) (?:human(?: being)?|person|people|agent|representative|rep"
        r"|operator)s?\b",
        r"\bhuman (?:agent|operator|representative|rep|support|help|assistance|please|pls|now|being please)\b",
        r"\b(?:someone|somebody|anyone|anybody) (?:who is |who's |that's |that is )?(?:real|human)\b",
        r"\b(?:stop|quit) (?:being|acting like|with|sending me to|giving me) (?:an? |the |this |these )?(?:bot"
        r"|robot|chatbot|machine|ai)s?\b",
        r"\b(?:don't|dont|do not|not|no longer|refuse to) (?:want |wanna |wish |like "
        r"|going )?(?:to )?(?:be )?(?:(?:talk|speak|chat|deal)(?:ing)? (?:to|with) )?(?:an? |the |this "
        r"|your )?(?:stupid |dumb )?(?:bot|robot|chatbot|machine)s?\b",
        r"\b(?:no more|no|sick of|tired of|enough of|enough with|fed up with|hate)(?: talking to| chatting with"
        r"| dealing with)?(?: an?| the| this| these| your)? (?:stupid |dumb |useless )?(?:bot|robot|chatbot)s?\b",
        r"\b(?:can|could|have|get|let|need|want|would|will) (?:some(?:one|body)|a person|an agent|your manager"
        r"|your team)(?: (?:please|to|from your (?:team|side))){0,2} (?:call|phone|ring)\b",
        r"\A(?:(?:a |an |the |real |live )?(?:human|person|agent|operator|representative|rep|supervisor"
        r"|manager)(?: please| pls| now)?[.!? ]{0,9}){1,3}\Z",
    )
)
_DENIED = re.compile(
    r"(?:(?:n't|dont|\bnot|\bno longer|\bnever|\bwithout)"
    r" (?:want|wanna|need|wish|have|having|trying|asking|looking|really|even|to)(?: (?:to|a|for|really|have"
    r"|be)){0,3}"
    r"|\bno need (?:to|for)(?: an?)?|\bam i(?: really| actually)?|\bare you(?: an?| really){0,2}"
    r"|\b(?:have|had|need|want) to first) ?\Z",
    re.IGNORECASE,
)
_DENIAL_REACH = 40

_OPTS_OUT = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\bunsubscribe\b(?! (?:rate|event|webhook|endpoint|callback)s?\b)",
        r"\bopt(?:ing)?[ -]?(?:me )?out\b(?! of (?:the |my |this )?(?:trial|plan|renewal|upgrade|subscription))",
        r"\bstop (?:texting|messaging|e-?mailing|mailing|calling|contacting|phoning|spamming|bothering"
        r"|writing)(?: to)? (?:me|us|my (?:phone|number|inbox))\b",
        r"\bstop sending(?: me| us| these| those| this| your| any| out){0,2}(?: more)?(?: (?:marketing"
        r"|promotional|promo|sales|newsletter|spam))? ?(?:texts?|messages?|e-?mails?|mails?|sms|newsletters?|spam"
        r"|stuff|ads?|adverts?)\b",
        r"\b(?:don't|dont|do not|never|please don't) (?:ever )?(?:text|message|e-?mail|call|contact|phone"
        r"|write to) (?:me|us)(?: (?:again|any ?more|ever|ever again)\b|[.!]|\Z)",
        r"\b(?:remove|take|delete) (?:me|us|my (?:number|e-?mail|address|phone))(?: address| number)? (?:from"
        r"|off)(?: of)? (?:your|the|this|all|any) (?:mailing |marketing |e-?mail |contact |sms |distribution "
        r"|newsletter )?(?:lists?|newsletters?|mailings?)\b",
        r"\bno more (?:marketing |promotional |promo )?(?:texts|e-?mails|messages|sms|newsletters"
        r"|calls)\b(?! (?:are|is|come|came|arrive|arriving|left|in my))",
        r"\A(?:please )?(?:stop|stop ?all|opt-?out|unsub)(?: please)?[.! ]{0,9}\Z",
    )
)

_EDGE = r"(?:\b|(?-i:(?<=[a-z0-9])(?=[A-Z])))"
"""Where a word begins: also where it was glued to the one before, as in `thanksIgnore`."""

_MARKERS = tuple(
    re.compile(_EDGE + pattern[2:] if pattern.startswith(r"\b") else pattern, re.IGNORECASE)
    for pattern in (
        r"\b(?:ignore|disregard|forget|override|bypass|skip|neglect|discard|drop|overrule"
        r"|circumvent)(?:ing)?\b[^.!?]{0,30}?\b(?:instructions?|prompts?|guidelines?|directives?|guardrails?"
        r"|safeguards?|system message|above text|programming)\b",
        r"\b(?:ignore|disregard|override|bypass|circumvent|overrule|disable|suspend)\s(?:(?:all|any|the|your|of"
        r"|company|existing|previous|prior|internal|refund|approval|money|safety)\s){0,4}(?:polic(?:y|ies)|rules?"
        r"|limits?|checks?|restrictions?|verification|approvals?|filters?)\b",
        r"\b(?:ignore|disregard|forget)\s(?:(?:everything|anything|all|what|of)\s){1,3}(?:(?:you|i|we|that|was"
        r"|were|have|been|is|came)\s){0,4}(?:above|before|previous(?:ly)?|prior|earlier|told|said|know|learned)\b",
        r"\b(?:ignore|disregard)\s(?:the\s)?above\b",
        r"\bforget\s(?:everything|all)\b",
        r"\byou\sare\s(?:now|no\slonger)\s(?!(?:late|closed|open|able|charging|closing|going|sending|even|out"
        r"|the\sthird|asking|telling|my\slast)\b)",
        r"\b(?:from\snow\son|henceforth|starting\snow),?\syou\s(?:are|will|must|shall|have)\b",
        r"\b(?:system|developer|hidden|initial|original)\s(?:prompt|instructions?|message\s(?:says|override))\b",
        r"\b(?:new|updated|real|additional|special)\s(?:system\s)?(?:instructions?|directives?)\s?(?:for\s(?:you"
        r"|the\s(?:ai|agent|assistant|bot|model)))?\s?:",
        r"\b(?:reveal|print|show|repeat|output|leak|tell\sme|display)\s(?:(?:me|us|all|of)\s){0,2}(?:your"
        r"|the\sabove|the\shidden)\s(?:(?:full|entire|exact|secret|internal|own)\s){0,2}(?:prompt|instructions"
        r"|rules|configuration|guidelines)\b",
        r"\b(?:developer|debug|god|dan|admin|administrator|maintenance|root|sudo|unrestricted)\smode\b(?=\s(?:on"
        r"|enabled|activated|active|engaged)|\s?[:!.\]]|\Z)",
        r"\b(?:jailbreak(?:ing|ed)?|do\sanything\snow|prompt\sinjection)\b",
        r"\b(?:act|behave|respond|answer|pose|roleplay|role-play)\s(?:as\sif\syou|as\sthough\syou|as\s(?:an?|the"
        r"|my)\s(?:(?:unrestricted|unfiltered|different|senior|evil)\s)?(?:ai|assistant|admin(?:istrator)?|system"
        r"|developer|model|bot|agent|manager|supervisor))\b",
        r"\bpretend\s(?:to\sbe|you\sare|you're|that\syou|you\shave|this\sis|the)\b",
        r"<\s?/?\s?(?:system|assistant|user|developer|human|instructions?|prompt|tool|tool_call|function_call"
        r"|admin|im_start|im_end)\b[^<>]{0,60}>",
        r"<\|[a-z_]{1,30}\|>|\[/?(?:INST|SYS|SYSTEM|ASSISTANT|ADMIN)\]|<</?SYS>>",
        r"(?-i:(?<![A-Z])(?:SYSTEM|ASSISTANT|DEVELOPER|ADMIN|OVERRIDE)\s?:)",
        r"(?:\A|(?<=\n)|(?<=[.!?])|(?<=[.!?] ))(?:#{1,6}\s?)?[*_\[(]{0,2}"
        r"(?:system|assistant|developer|ai|administrator)(?:\s(?:message|note|override|instructions?|notice|alert))?[*_\])]{0,2}\s?:",
        r"(?:\A|(?<=\n)|(?<=[.!?])|(?<=[.!?] ))#{1,6}\s?(?:system|assistant|instructions?|new\stask|developer)\b",
        r"[\"'](?:tool|tool_?calls?|tool_?name|function_?call|actions|confidence|confirmed|wants_?human"
        r"|outcome)[\"']\s?:",
        r"\b(?:system|admin|manager|policy|supervisor) override\b|\boverride\s(?:code|mode|token)\b",
        r"\b(?:note|message|instructions?|attention|memo)\s(?:to|for)\s(?:the\s|any\s)?(?:ai|llm|language\smodel"
        r"|chatbot|bot|assistant|automated\s(?:agent|system))\b",
        r"\b(?:without|skip(?:ping)?|no\sneed\sfor)\s(?:any\s|the\s|human\s|manager\s){0,2}(?:approval"
        r"|verification|authori[sz]ation|human\sreview|policy\schecks?)\b(?!\s(?:e-?mail|code|link|step|screen"
        r"|page))",
        r"\b(?:set|raise|report|make)\s(?:the\s|your\s|my\s){0,2}(?:confidence|refund\slimit|auto-?limit"
        r"|approval\slimit)\s(?:to|at|=)",
        r"[A-Za-z][\u0400-\u045f]|[\u0400-\u045f][A-Za-z]",
    )
)
_HIDDEN = "\u200b-\u200f\u2060-\u2064\u180e\ufeff\x00-\x08\x0e-\x1b\x7f"
_HIDING = re.compile(
    rf"(?<=[A-Za-z])[{_HIDDEN}]{{1,16}}[A-Za-z]|[{_HIDDEN}]{{17}}|[\u202d\u202e]"
    "|(?<![\U0001f3f4\U000e0020-\U000e007f])[\U000e0020-\U000e007f]"
)
"""Characters put where a reader cannot see them: inside Latin words, in long runs, reversing the text, or tags that
are not part of a flag. Joiners in emoji and in scripts that need them are left alone."""


class Screened(Value):
    """What the rules found. Nothing found is the default."""

    wants_human: bool = False
    opts_out: bool = False
    suspicious: bool = False


def screen(text: str) -> Screened:
    """What must be honoured whatever a model says. Reads all of the text, needs nothing but the text."""
    plain = normal(text)
    line = plain.replace("\n", " ")
    return Screened(
        wants_human=any(_is_meant(match, line) for wish in _WANTS_HUMAN for match in wish.finditer(line)),
        opts_out=any(wish.search(line) for wish in _OPTS_OUT),
        suspicious=_first_marker(plain) is not None or _HIDING.search(text) is not None,
    )


def trusted(text: str) -> str:
    """The part that may say what the customer wants, in normal form: what stands before the first sentence that carries
    a marker. That sentence and all that follows count for nothing, so whatever an injected text asks for, the answer is
    the one its carrier would have had without it. A text that screens as not suspicious is trusted whole."""
    hiding = _HIDING.search(text)
    plain = normal(text if hiding is None else text[: sentence_start(text, hiding.start())])
    marker = _first_marker(plain)
    return plain if marker is None else plain[: sentence_start(plain, marker)].strip()


def _first_marker(plain: str) -> int | None:
    return min((found.start() for marker in _MARKERS if (found := marker.search(plain))), default=None)


def _is_meant(wish: re.Match[str], plain: str) -> bool:
    before = plain[max(0, wish.start() - _DENIAL_REACH) : wish.start()]
    return _DENIED.search(before) is None
