"""What tests have measured, for the end of the run's report: pytest shows what a test prints only where it fails."""

from __future__ import annotations

lines: list[str] = []


def measured(line: str) -> None:
    """Keeps one line for the report; its first word, with a colon, says what of."""
    lines.append(line)
    print(line)
