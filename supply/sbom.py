"""A CycloneDX 1.6 bill of materials. The same lock gives the same bytes, whenever and wherever."""

import json
import uuid
from collections.abc import Sequence

from supply.licences import NO_ASSERTION, licence_of
from supply.lock import Pinned, read_lock

OURSELVES = "pkg:pypi/holdfast@0.1.0"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://cyclonedx.org/")


def sbom(lock: str) -> str:
    """As JSON, with a newline at the end."""
    packages = read_lock(lock)
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, lock)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": OURSELVES,
                "name": "holdfast",
                "version": "0.1.0",
                "purl": OURSELVES,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": [_component(package) for package in packages],
        "dependencies": _dependencies(packages),
    }
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _component(package: Pinned) -> dict[str, object]:
    properties = [{"name": "python:marker", "value": package.marker}] if package.marker else []
    licence = licence_of(package.name) if package.is_installed else NO_ASSERTION
    known = {} if licence == NO_ASSERTION else {"licenses": [_licence(licence)]}
    return {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
        # One per published file: which one is installed depends on the machine, and pip takes no other.
        "externalReferences": [
            {
                "type": "distribution",
                "url": f"https://pypi.org/project/{package.name}/{package.version}/",
                "hashes": [{"alg": "SHA-256", "content": digest}],
            }
            for digest in package.sha256
        ],
        **({"properties": properties} if properties else {}),
        **known,
    }


def _licence(expression: str) -> dict[str, object]:
    return {"expression": expression} if " " in expression else {"license": {"id": expression}}


def _dependencies(packages: Sequence[Pinned]) -> list[dict[str, object]]:
    named: dict[str, list[str]] = {"holdfast": [OURSELVES]}
    for package in packages:
        named.setdefault(package.name, []).append(package.purl)
    needs: dict[str, set[str]] = {reference: set() for references in named.values() for reference in references}
    for package in packages:
        for asker in package.asked_by:
            for reference in named.get(asker, ()):
                needs[reference].add(package.purl)
    return [{"ref": reference, "dependsOn": sorted(needs[reference])} for reference in sorted(needs)]
