"""The contract as a judge: every frame that a client of these tests reads is held against it."""

import asyncapi
from fxsocket_server.bootstrap.server import spec_folder

Frame = dict[str, object]
Shape = tuple[object, ...] | str


def shape_of(value: object) -> Shape:
    """What of a frame decides whether the contract allows it, but for patterns and bounds."""
    if isinstance(value, dict):
        return tuple((key, shape_of(item)) for key, item in sorted(value.items()))
    if isinstance(value, list):
        return tuple(sorted({str(shape_of(item)) for item in value}))
    return type(value).__name__


class FrameJudge:
    """Says which message of the contract a frame is; frames of one shape are judged once."""

    def __init__(self) -> None:
        spec = asyncapi.load(spec_folder()).closed()
        self.told = {name for name in spec.messages if spec.kind(name)[0] == "type"}
        actions = (spec.kind(name) for name in spec.messages)
        self.asked = {value for key, value in actions if key == "action"}
        self._by_type = {
            spec.kind(name)[1]: {m: spec.validator(m) for m in spec.named(*spec.kind(name))}
            for name in self.told
        }
        self._judged: dict[tuple[str, object, Shape], str] = {}
        self.seen: set[str] = set()

    def judge(self, frame: Frame) -> str:
        """The name of a frame's message; AssertionError says why it is none."""
        kind, channel = str(frame.get("type")), frame.get("channel")
        key = (kind, channel, shape_of(frame))
        name = self._judged.get(key)
        if name is None:
            name = self._judged[key] = self._message(kind, frame)
        self.seen.add(name)
        return name

    def _message(self, kind: str, frame: Frame) -> str:
        faults = {
            name: [f"{error.json_path}: {error.message}" for error in validator.iter_errors(frame)]
            for name, validator in self._by_type.get(kind, {}).items()
        }
        fit = [name for name, errors in faults.items() if not errors]
        assert len(fit) == 1, f"{frame} is {fit or 'no message of the contract'}: {faults}"
        return fit[0]
