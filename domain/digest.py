"""One way to turn a value into bytes, and bytes into a name: equal values have equal digests on every machine."""

import hashlib
import json
import math

from domain.values import CustomerId, Json

MAX_DEPTH = 64


def canonical_json(value: object) -> bytes:
    """The JSON text of `value`: keys sorted, no spaces, UTF-8.

    Takes what JSON has (objects with string keys, arrays, strings, integers, finite floats, booleans, null) and raises
    `ValueError` for everything else, so that two values which differ never look alike.
    """
    _check(value, MAX_DEPTH)
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8")


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON, as 64 hexadecimal characters."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def action_digest(tool: str, arguments: Json, *, customer_id: CustomerId, policy_version: int) -> str:
    """What an approval is bound to: exactly this call, for this customer, under this version of the rules."""
    return digest({"tool": tool, "arguments": arguments, "customerId": customer_id, "policyVersion": policy_version})


def _check(value: object, depth: int) -> None:
    if depth < 0:
        raise ValueError("nested too deeply for canonical JSON")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"a key of type {type(key).__name__} is not JSON")
            _check(item, depth - 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item, depth - 1)
    elif not _is_scalar(value):
        raise ValueError(f"a value of type {type(value).__name__} is not JSON")


def _is_scalar(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)
