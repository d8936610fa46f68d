"""What a client can ask for, one method per action; a refusal is raised as a Problem."""

from collections.abc import Callable
from typing import Any

from fxsocket_server.channels import frames
from fxsocket_server.channels.feeds import FeedReaders
from fxsocket_server.channels.names import families
from fxsocket_server.core.codec import convert
from fxsocket_server.core.errors import Problem
from fxsocket_server.stream.accounts import live_account, standing
from fxsocket_server.stream.backend import Backend
from fxsocket_server.stream.commands import Commands
from fxsocket_server.stream.connection import Connection
from fxsocket_server.stream.gate import Gate
from fxsocket_server.stream.requests import Ack, Auth, ClientFrame, Resume
from fxsocket_server.stream.subscribe import Subscribe, offered
from fxsocket_server.stream.trade_requests import TRADE_FRAMES

Action = Callable[[Connection, dict[str, Any]], None]


class Actions:
    """Everything an authenticated client can ask for, by the name of its action."""

    def __init__(
        self,
        backend: Backend,
        readers: FeedReaders[Connection],
        gate: Gate[Connection],
        commands: Commands,
        subscribe: Subscribe,
    ) -> None:
        self._backend = backend
        self._readers = readers
        self._gate = gate
        self.by_name: dict[str, Action] = {
            "ack": self._ack,
            "auth": self._auth,
            "list": subscribe.list,
            "ping": self._ping,
            "resume": self._resume,
            "subscribe": subscribe.subscribe,
            "unsubscribe": subscribe.unsubscribe,
            **dict.fromkeys(TRADE_FRAMES, commands.take),
        }

    # --- pacing ------------------------------------------------------------------------------

    def _ack(self, connection: Connection, frame: dict[str, Any]) -> None:
        asked = convert(frame, Ack)
        accounts = self._readers.paced_accounts(connection)
        if asked.account_id is not None:
            accounts = [a for a in accounts if a == asked.account_id]
        elif len(accounts) > 1:
            raise Problem(
                "account_required",
                f"name the account in account_id; paced are: {', '.join(accounts)}",
                pointer="/account_id",
            )
        # None is left when the ack crossed the end of its subscription: nothing is owed then.
        for account_id in accounts:
            self._readers.ack(connection, account_id, asked.n)
        self._gate.release(accounts)

    # --- events ------------------------------------------------------------------------------

    def _resume(self, connection: Connection, frame: dict[str, Any]) -> None:
        asked = convert(frame, Resume)
        seen = live_account(self._backend, connection.identity, asked.account_id)
        channels = offered(connection, seen, asked.channels, asked.id)
        connection.log.follow(seen.account.id, families(channels))
        connection.log.resume(seen.account.id, asked.after, asked.epoch, asked.id)

    # --- the connection ----------------------------------------------------------------------

    def _ping(self, connection: Connection, frame: dict[str, Any]) -> None:
        connection.send(frames.reply("pong", convert(frame, ClientFrame).id))

    def _auth(self, connection: Connection, frame: dict[str, Any]) -> None:
        """Whoever is authenticated stays who it is."""
        self.greet(connection, convert(frame, Auth).id)

    def greet(self, connection: Connection, frame_id: frames.FrameId) -> None:
        """Say that the client is authenticated, and which accounts it can see."""
        accounts = standing(self._backend, connection.identity)
        connection.send(frames.reply("authenticated", frame_id, accounts=accounts))
