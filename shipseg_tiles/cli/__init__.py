"""The command line: one file a verb, each with an options dataclass and a `run()`."""
