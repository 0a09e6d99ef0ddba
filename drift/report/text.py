"""Text of strangers (column names, labels, sentences of them) made fit to be shown."""

import unicodedata

# Line breaks become spaces; what else has no place on a page is shown as the replacement character.
# "Cf" holds the marks that turn writing around (a name could dress up as another with them).
_BAD_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")
"""Format characters that belong to words (Persian, Indic scripts) and to emoji."""


def clean(text: str) -> str:
    """`text` on one line, without control characters, lone surrogates and direction marks."""
    if text.isascii() and text.isprintable():
        return text
    shown = (_show(character) for character in text)
    return "".join(shown)


def clip(text: str, limit: int) -> str:
    """`clean(text)`, with the middle of what is longer than `limit` characters left out."""
    if len(text) > limit:
        head = (limit - 1) * 2 // 3
        text = f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"
    return clean(text)


def clip_wide(text: str, limit: int) -> str:
    """As `clip`, to `limit` places of which East Asian wide characters take two."""
    text = clip(text, limit)
    while sum(1 + (unicodedata.east_asian_width(each) in "WF") for each in text) > limit:
        text = clip(text, len(text) - 1)
    return text


def replace_surrogates(text: str) -> str:
    """`text` that UTF-8 can hold: a lone surrogate (of undecodable bytes) becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _show(character: str) -> str:
    if character in "\t\r\n":
        return " "
    if unicodedata.category(character) in _BAD_CATEGORIES and character not in _JOINERS:
        return "\N{REPLACEMENT CHARACTER}"
    return character
