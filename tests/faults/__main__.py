"""`make faults ARGS='--tier smoke|ci|full --seed 7'`. Exit code 1: something is broken; 2: the run proves nothing."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from tests.faults import full_disk, matrix, poison, rig, scale
from tests.faults.tiers import TIERS

T = TypeVar("T")
ALL = {**scale.SCALES, "poison": poison.SCALE}


def run(work: Coroutine[Any, Any, T]) -> T:
    """Also when it is asked to stop it ends what it started."""

    async def until_stopped() -> T:
        task = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    return asyncio.run(until_stopped())


def main() -> int:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--tier", choices=TIERS, default="smoke")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--unguarded", action="store_true", help="the negative control: without the ledger")
    parser.add_argument("--matrix", action="store_true", help="every failpoint with every kind of wish instead")
    parser.add_argument("--scale", choices=ALL, help="many at once instead")
    parser.add_argument("--full-disk", choices=full_disk.WHAT, help="whose disk is full for a while, instead")
    parser.add_argument("--n", type=int, help="how many, with --scale")
    given = parser.parse_args()
    if given.matrix:
        return go_through_the_matrix()
    if given.scale:
        return told(*run(scale.run(ALL[given.scale], given.scale, given.n)))
    if given.full_disk:
        return fill_the_disk(given.full_disk)
    return kill_everything(given.tier, given.seed, guarded=not given.unguarded)


def kill_everything(tier: str, seed: int, *, guarded: bool) -> int:
    verdict = run(rig.run(TIERS[tier], seed, worker=rig.GUARDED if guarded else rig.UNGUARDED))
    report = verdict.report
    for what in ("took_s", "dealt"):
        print(f"{what:<20} " + ", ".join(f"{k} {v}" for k, v in report[what].items()))
    for what, value in report["figures"].items():
        shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        print(f"{what:<20} {shown}")
    print(f"{'died alone':<20} {[d['component'] for d in report['died alone']]}")
    print(f"{'did not start':<20} {[d['component'] for d in report['did not start']]}")
    for violation in verdict.violations[:30]:
        print("BROKEN", violation)
    for missing in verdict.void:
        print("VOID", missing)
    print(f"{len(verdict.violations)} violations; {verdict.folder / 'report.json'}")
    if not guarded:
        print(f"{len(verdict.duplicates)} done twice: the control {'holds' if verdict.duplicates else 'is void'}")
        return 0 if verdict.duplicates else 2
    return verdict.exit_code


def go_through_the_matrix() -> int:
    outcome = run(matrix.run(matrix.CELLS))
    for violation in outcome.violations:
        print("BROKEN", violation)
    for cell in outcome.missed:
        print("VOID", cell)
    print(
        f"{len(outcome.reached)} of {len(matrix.CELLS)} cells, {len(outcome.violations)} violations; {outcome.folder}"
    )
    return 1 if outcome.violations else 2 if outcome.missed else 0


def fill_the_disk(whose: str) -> int:
    try:
        return told(*run(full_disk.run(whose)))
    except full_disk.CannotMount as error:
        print(f"VOID no file system of its own: {error}")
        return 2


def told(figures: dict[str, Any], broken: list[str]) -> int:
    for what, value in figures.items():
        print(f"{what:<32} {value}")
    for violation in broken:
        print("BROKEN", violation)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
