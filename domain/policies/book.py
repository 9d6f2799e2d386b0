"""All packs in force, compiled, found by subject, by tool or by intent."""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib import resources

from domain.policies.cel import Parameter, PolicyInvalid
from domain.policies.inputs import Inputs
from domain.policies.pack import PolicyPack, read_pack
from domain.policies.verdict import CompiledPack, Verdict
from domain.values import Intent, Priority

CAUTIOUS = Priority.HIGH
"""What a case gets when its priority cannot be told."""


class PolicyBook:
    """A set of packs, one per subject. Making one compiles every rule, so a book that exists can be used."""

    def __init__(self, packs: Iterable[PolicyPack]) -> None:
        """Raises `PolicyInvalid` if a rule does not compile or two packs share a subject."""
        self._packs: dict[str, CompiledPack] = {}
        for pack in packs:
            if pack.subject in self._packs:
                raise PolicyInvalid(f"two packs are about {pack.subject}")
            self._packs[pack.subject] = CompiledPack.of(pack)

    @staticmethod
    def shipped() -> "PolicyBook":
        """The packs in `domain/policies/packs`, read and compiled once per process."""
        return _shipped()

    def __iter__(self) -> Iterator[PolicyPack]:
        return (compiled.pack for _, compiled in sorted(self._packs.items()))

    @property
    def version(self) -> int:
        """The highest version among the packs."""
        return max((pack.version for pack in self), default=0)

    @property
    def hashes(self) -> Mapping[str, str]:
        """By subject, what exactly was in force."""
        return {subject: compiled.hash for subject, compiled in sorted(self._packs.items())}

    def pack(self, subject: str) -> PolicyPack:
        return self._compiled(subject).pack

    def replacing(self, pack: PolicyPack) -> "PolicyBook":
        """A new book with `pack` instead of the one about its subject: how an organisation's own rules come in."""
        return PolicyBook([*(other for other in self if other.subject != pack.subject), pack])

    def parameter(self, subject: str, name: str) -> int:
        """A named number of a pack, e.g. `("refund", "period_days")`. Raises `PolicyInvalid` if there is none."""
        value: Parameter = self.pack(subject).parameter(name)
        if not isinstance(value, int):
            raise PolicyInvalid(f"the parameter {name!r} of {subject} is not a number")
        return value

    def for_tool(self, tool: str) -> tuple[str, ...]:
        """The subjects that judge every call of `tool`."""
        return tuple(pack.subject for pack in self if tool in pack.tools)

    def for_intent(self, intent: Intent) -> tuple[PolicyPack, ...]:
        """The packs that judge such a request even when none of their tools is proposed."""
        return tuple(pack for pack in self if intent in pack.intents)

    def for_proposals(self) -> tuple[str, ...]:
        """The subjects that judge proposals as a whole."""
        return tuple(p.subject for p in self if not p.tools and not p.intents and not p.gives_priority)

    def evaluate(self, subject: str, inputs: Inputs) -> Verdict:
        """What the pack about `subject` says. Total but for an unknown subject, which is `PolicyInvalid`."""
        return self._compiled(subject).evaluate(inputs)

    def priority(self, inputs: Inputs) -> tuple[Priority, tuple[Verdict, ...]]:
        """The highest priority any pack gives, with the verdicts; cautious where a rule or a pack is missing."""
        verdicts = tuple(self.evaluate(pack.subject, inputs) for pack in self if pack.gives_priority)
        given = [verdict.priority or CAUTIOUS for verdict in verdicts]
        if not given or any(verdict.rulings for verdict in verdicts):
            given.append(CAUTIOUS)
        return max(given, key=lambda priority: priority.rank), verdicts

    def _compiled(self, subject: str) -> CompiledPack:
        if subject not in self._packs:
            raise PolicyInvalid("there is no pack about this subject")
        return self._packs[subject]


@lru_cache(maxsize=1)
def _shipped() -> PolicyBook:
    folder = resources.files("domain.policies") / "packs"
    files = sorted((item for item in folder.iterdir() if item.name.endswith(".yaml")), key=lambda item: item.name)
    return PolicyBook(read_pack(item.read_text(encoding="utf-8")) for item in files)
