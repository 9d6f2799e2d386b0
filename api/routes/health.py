"""Is the process alive, and can it serve?"""

from fastapi import APIRouter, Response

from api.deps import ServicesDep
from api.readiness import what_is_missing
from domain.values import Value

router = APIRouter(tags=["health"])


class Health(Value):
    status: str = "ok"


class Readiness(Value):
    """What this process needs. `ready` is true only when nothing is missing."""

    ready: bool
    missing: tuple[str, ...] = ()
    """Among `postgres`, `migrations`, `temporal`, `worker`."""


@router.get("/healthz", summary="The process lives")
async def get_health() -> Health:
    """Looks at nothing else."""
    return Health()


@router.get("/readyz", summary="Postgres, Temporal and a worker are there", responses={503: {"model": Readiness}})
async def get_readiness(response: Response, services: ServicesDep) -> Readiness:
    """503 names what is missing."""
    missing = await what_is_missing(services)
    if missing:
        response.status_code = 503
        response.headers["Retry-After"] = "2"
    return Readiness(ready=not missing, missing=missing)
