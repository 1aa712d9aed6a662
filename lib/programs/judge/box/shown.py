"""What a program wrote, made fit for a terminal or a page: no code moves the cursor, hides or turns the text."""

from __future__ import annotations

import unicodedata

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
