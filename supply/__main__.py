"""`python -m supply sbom` writes `build/sbom.cdx.json`, `python -m supply licences` the page of licences, `python -m
supply console` builds the console."""

import sys

from supply.console import CannotBuild, build, is_built
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
    elif sys.argv[1:] == ["console"]:
        if not is_built():
            print("building the console; this happens once, and again when its sources change", flush=True)
        try:
            print(f"console {build()}")
        except CannotBuild as error:
            sys.exit(f"the console is not built, everything else works without it\n{error}")
    else:
        sys.exit("sbom, licences or console?")
