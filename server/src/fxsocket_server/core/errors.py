"""Every problem a client can meet, with its status and advice as data.

    Problem                 raised anywhere, shown as application/problem+json or an error frame
      .kind                 an ErrorKind of CATALOGUE (spec/errors.yaml says the same)
      .errors               the fields at fault, as JSON pointers
      .retcode, .order      a broker's refusal

A status below 500 means that the request was judged; 503 means that nothing was sent.
"""

from msgspec import Struct

from fxsocket_server.core.catalogue import CATALOGUE
from fxsocket_server.core.secret import redacted


class FieldError(Struct, frozen=True):
    """A field at fault: JSON pointer into the body (or `?name` of the query) and the fix."""

    pointer: str
    message: str


class Problem(Exception):
    """A refusal with a catalogued code and a detail that names the fix."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        pointer: str | None = None,
        errors: tuple[FieldError, ...] = (),
        retry_after_s: int | None = None,
    ) -> None:
        detail = redacted(detail)
        super().__init__(detail)
        self.kind = CATALOGUE[code]
        self.detail = detail
        self.errors = _redacted(errors) or ((FieldError(pointer, detail),) if pointer else ())
        self.retry_after_s = retry_after_s


def _redacted(errors: tuple[FieldError, ...]) -> tuple[FieldError, ...]:
    return tuple(FieldError(redacted(e.pointer), redacted(e.message)) for e in errors)


class JournalUnavailable(Problem):
    """The journal could not make a change durable; nothing of it was sent or kept."""

    def __init__(self, detail: str) -> None:
        super().__init__("journal_unavailable", detail, retry_after_s=1)
