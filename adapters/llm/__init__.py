"""Models: what reads and writes language for us, behind two ports of `domain.ports`.

`embedded` is the default. It implements `IntentModel` inside the process: no key, no network, under a millisecond.
Providers of large models implement `LanguageModel`, one file each (`adapters/llm/<provider>.py`), and are plugged in by
the entry points. Whatever they answer is a proposal like any other: rules decide, and rules remain when they are down.
"""
