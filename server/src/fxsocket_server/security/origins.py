"""Which web pages may open a stream: those of the server's own host, and those that are allowed.

A browser says which page asks, in `Origin`, and sends no key of its own: without this any page that
somebody visits could knock at a server on the visitor's machine.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

ANY = "*"


def may_open(origin: str, host: str, allowed: Collection[str]) -> bool:
    """Whether a page of an origin may open a stream at a host (the request's Host header)."""
    if ANY in allowed or origin.lower() in allowed:
        return True
    page, own = _host_of(origin), _host_of(f"//{host}")
    return page is not None and page == own


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # brackets that hold no address
        return None


def is_origin(text: str) -> bool:
    """Whether a text can be allowed: `*`, or a page's scheme, host and port."""
    if text == ANY:
        return True
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    named = parts.scheme in ("http", "https") and parts.hostname is not None
    return named and text == f"{parts.scheme}://{parts.netloc}" and "@" not in text
