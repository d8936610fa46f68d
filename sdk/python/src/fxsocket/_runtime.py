"""The only door to clock, chance and environment; clients take these as arguments in tests."""

import asyncio
import os
import random
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

VERSION: Final = "0.1.0"

Sleep: TypeAlias = Callable[[float], None]
AsyncSleep: TypeAlias = Callable[[float], Awaitable[None]]
Clock: TypeAlias = Callable[[], float]
Draw: TypeAlias = Callable[[], float]
NewId: TypeAlias = Callable[[], str]

monotonic: Clock = time.monotonic
sleep: Sleep = time.sleep
async_sleep: AsyncSleep = asyncio.sleep
draw: Draw = random.random
environ: Mapping[str, str] = os.environ


def new_id() -> str:
    """Make a key that no other call will ever have: 32 characters of `[0-9a-f]`."""
    return uuid.uuid4().hex


def user_agent() -> str:
    """Name SDK, interpreter and system, as `fxsocket-python/0.1.0 (cpython 3.11; linux)`."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"fxsocket-python/{VERSION} ({sys.implementation.name} {version}; {sys.platform})"
