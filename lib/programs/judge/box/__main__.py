"""``python -m programs.judge.box PROGRAM``: run one program contained, and say how it ended."""

from __future__ import annotations

import argparse
import sys
import unicodedata
from pathlib import Path

from programs.judge.box import Ended, chosen, consent, run, tiers
from workbook import paths
from workbook.errors import BadOption, WorkbookError

ODD = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def shown(written: bytes | str, most: int = 100_000) -> str:
    """``written`` as text: signs that are not seen are spelled out (``\\x1b``), only line ends and tabs stay."""
    text = written if isinstance(written, str) else written[: 4 * most].decode("utf-8", "backslashreplace")
    text = text.replace("\r\n", "\n")
    safe = "".join(
        sign.encode("unicode_escape", "surrogatepass").decode("ascii")
        if sign not in "\n\t" and unicodedata.category(sign) in ODD
        else sign
        for sign in text[:most]
    )
    return safe + ("…" if len(text) > most else "")


def _asked(question: str) -> bool:
    return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}


def _options(words: list[str] | None) -> argparse.Namespace:
    known = "; ".join(f"{t.name}: {'available' if t.available else t.why_not}" for t in tiers())
    parser = argparse.ArgumentParser(
        prog="python -m programs.judge.box",
        description=__doc__,
        epilog=f"What stands after -- goes to the program. Tiers here: {known}.",
    )
    parser.add_argument("program", type=Path, help="a Python program")
    parser.add_argument("--yes", action="store_true", help="agree that it is run")
    parser.add_argument("--tier", help="the tier to use; the strongest without")
    parser.add_argument("--timeout", type=float, default=30.0, metavar="S", help="seconds until it is ended (30)")
    parser.add_argument("--memory", type=int, default=1024, metavar="MB", help="most memory (1024)")
    parser.add_argument("--python", type=Path, help="the Python that runs it; this one without")
    parser.add_argument("--display", action="store_true", help="give it a screen that nobody sees")
    words = sys.argv[1:] if words is None else words
    ours = words[: words.index("--")] if "--" in words else words
    return parser.parse_args(ours, argparse.Namespace(args=words[len(ours) + 1 :]))


def line(ended: Ended) -> str:
    """How it ended, in one line."""
    said = {
        "exit": f"It ended with exit code {ended.code}",
        "signal": f"It was ended by signal {ended.code}",
        "timeout": "It was ended: out of time",
        "memory": "It was ended: out of memory",
        "output": "It was ended: it wrote too much",
        "harness": "It did not run: the sandbox failed",
    }[ended.how]
    why = f" ({shown(ended.why)})" if ended.why else ""
    names = ", ".join(f"{name!a} ({len(content)} bytes)" for name, content in sorted(ended.files.items()))
    left = f" Left: {names}." if names else ""
    cut = f" Not kept: {'; '.join(ended.refused[:3]) or 'the rest of its output'}." if ended.cut else ""
    return f"{said}{why} after {ended.seconds:.1f} s, in the tier {ended.tier}.{left}{cut}"


def main(words: list[str] | None = None) -> int:
    """Run it; 0 when the program ended with 0, 1 when it did not or was not run."""
    options = _options(words)
    try:
        if not 0 < options.timeout <= 3600 or not 16 <= options.memory <= 1 << 20:
            raise BadOption("--timeout is between 0 and 3600 seconds, --memory between 16 MB and 1 TB.")
        if options.program.exists() and not options.program.is_file():  # a pipe would be waited for
            raise BadOption(f"{paths.shown(options.program)} is no file. Give a Python program.")
        tier = chosen(options.tier)
        # A yes that was kept was given for walls that are there.
        ask = _asked if sys.stdin.isatty() and not tier.weak else None
        yes = options.yes or (not tier.weak and consent.agreed(False, ask))
        ended = run(
            options.program, consent=yes, tier=options.tier, timeout_s=options.timeout, memory_mb=options.memory,
            args=options.args, python=options.python, display=options.display,
        )  # fmt: skip
    except WorkbookError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(shown(ended.stdout), end="")
    print(shown(ended.stderr), end="", file=sys.stderr)
    print(line(ended), file=sys.stderr)
    return 0 if (ended.how, ended.code) == ("exit", 0) else 1


if __name__ == "__main__":
    sys.exit(main())
