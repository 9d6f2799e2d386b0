"""Business rules: packs as data (`packs/<subject>.yaml`), evaluated by one engine, above invariants in code."""

from domain.policies.book import PolicyBook
from domain.policies.cel import Condition, ConditionFailed, PolicyInvalid, compile_rule
from domain.policies.inputs import Inputs, inputs_of
from domain.policies.pack import PolicyPack, pack_of, read_pack
from domain.policies.verdict import Ruling, Verdict

__all__ = [
    "Condition",
    "ConditionFailed",
    "Inputs",
    "PolicyBook",
    "PolicyInvalid",
    "PolicyPack",
    "Ruling",
    "Verdict",
    "compile_rule",
    "inputs_of",
    "pack_of",
    "read_pack",
]
