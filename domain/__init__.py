"""The rules and the words. Pure and synchronous: no I/O, no clock, no dice, no environment."""
