"""MetaTrader's symbol groups: masks such as `*USD*`, tried in order, `!` takes out again."""

from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase

_WILD = frozenset("*?")


def is_mask(text: str) -> bool:
    """Whether a text means a group of symbols, not one by its name."""
    return text.startswith("!") or "," in text or not _WILD.isdisjoint(text)


def in_group(symbol: str, masks: Iterable[str] | None) -> bool:
    """Whether a symbol is in a group; without masks every one is."""
    if masks is None:
        return True
    inside = False
    for mask in masks:
        name = mask.strip()
        if symbol == name or fnmatchcase(symbol, name.removeprefix("!")):
            inside = not name.startswith("!") or symbol == name
    return inside


def masks_of(texts: Iterable[str], names: Collection[str]) -> list[str]:
    """The single masks in texts, each of which may hold several; a name stands for itself."""
    return [mask for text in texts for mask in ((text,) if text in names else text.split(","))]


def chosen(names: Collection[str], asked: Sequence[str]) -> list[str]:
    """The names that are asked for, by name in the order asked or by group; all if none are."""
    if not asked:
        return list(names)
    if all(text in names or not is_mask(text) for text in asked):
        return [text for text in dict.fromkeys(asked) if text in names]
    masks = masks_of(asked, names)
    return [name for name in names if in_group(name, masks)]


def is_in_vain(text: str, names: Collection[str]) -> bool:
    """Whether a name or a group holds none of the names; one that takes out need not hold any."""
    if text in names:
        return False
    if not is_mask(text):
        return True
    masks = masks_of((text,), names)
    takes_out = any(mask.strip().startswith("!") for mask in masks)
    return not takes_out and not any(in_group(name, masks) for name in names)
