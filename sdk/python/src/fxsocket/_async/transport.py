"""Bytes over HTTP, and httpx2's errors in our words. The only module that knows httpx2."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2

from fxsocket import _runtime
from fxsocket._config import Config, is_loopback
from fxsocket.errors import ConnectError, ConnectionLost, RequestTimeout, TransportError


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class AsyncTransport:
    """A pool of connections that sends one attempt at a time and never retries by itself."""

    def __init__(
        self,
        config: Config,
        transport: httpx2.AsyncBaseTransport | None,
        clock: _runtime.Clock,
    ) -> None:
        self._connect_timeout = config.connect_timeout
        self._clock = clock
        self._http = httpx2.AsyncClient(
            base_url=config.base_url,
            headers={
                "Authorization": config.key.authorization(),
                "User-Agent": _runtime.user_agent(),
                "Accept": "application/json",
            },
            transport=transport,
            trust_env=not is_loopback(config.base_url),
        )

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        content: bytes | None,
        timeout_s: float,
    ) -> Answer:
        """Send one request and read the whole answer; raises TransportError."""
        patience = httpx2.Timeout(timeout_s, connect=min(self._connect_timeout, timeout_s))
        request = self._http.build_request(
            method, path, params=params, headers=headers, content=content, timeout=patience
        )
        stop_at = self._clock() + timeout_s
        with _our_errors(f"{method} {path}"):
            response = await self._http.send(request, stream=True)
            try:
                body = await self._read(response, stop_at)
            finally:
                await response.aclose()
        return Answer(response.status_code, response.headers, body)

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def _read(self, response: httpx2.Response, stop_at: float) -> bytes:
        # httpx2 limits each read, not their sum: an answer that drips would never end.
        chunks = []
        async for chunk in response.aiter_bytes():
            chunks.append(chunk)
            if self._clock() > stop_at:
                raise httpx2.ReadTimeout("the answer drips in too slowly")
        return b"".join(chunks)


@contextmanager
def _our_errors(what: str) -> Iterator[None]:
    try:
        yield
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
        raise ConnectError(f"{what}: no connection, nothing was sent ({_reason(error)})") from error
    except httpx2.TimeoutException as error:
        raise RequestTimeout(f"{what}: no answer in time") from error
    except (httpx2.NetworkError, httpx2.RemoteProtocolError) as error:
        raise ConnectionLost(f"{what}: the connection broke ({_reason(error)})") from error
    except httpx2.HTTPError as error:
        raise TransportError(f"{what}: {_reason(error)}") from error


def _reason(error: httpx2.HTTPError) -> str:
    return str(error) or type(error).__name__
