"""Outside systems behind ports of `domain.ports`: one file per system, plugged in by `worker.py`.

A gateway says exactly what is known when something goes wrong: `ToolRefused` (it did not and will not happen),
`ToolUnavailable` (it did not happen) or `ToolOutcomeUnknown` (it may have happened). When in doubt it is the last.
"""
