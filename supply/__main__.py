"""`python -m supply sbom` writes `build/sbom.cdx.json`, `python -m supply licences` the page of licences."""

import sys

from supply.licences import PAGE, page
from supply.lock import LOCK, ROOT, read_lock
from supply.sbom import sbom

SBOM = ROOT / "build" / "sbom.cdx.json"

if __name__ == "__main__":
    lock = LOCK.read_text(encoding="utf-8")
    if sys.argv[1:] == ["sbom"]:
        SBOM.parent.mkdir(exist_ok=True)
        SBOM.write_text(sbom(lock), encoding="utf-8")
        print(SBOM.relative_to(ROOT))
    elif sys.argv[1:] == ["licences"]:
        PAGE.write_text(page(read_lock(lock)), encoding="utf-8")
        print(PAGE.relative_to(ROOT))
    else:
        sys.exit("sbom or licences?")
