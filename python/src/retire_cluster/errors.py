"""What can go wrong, each with a `code` from the list in docs/protocol.md that programs may branch on."""

from __future__ import annotations

import builtins
from typing import Any, Dict, Optional, Type


class RetireClusterError(Exception):
    """The root of all errors of this package.

    code: stable, from docs/protocol.md. field: the field meant, "" if none. index: the item of a batch meant,
    None if none.
    """

    code = "internal"

    def __init__(
        self, message: str, *, code: Optional[str] = None, field: str = "", index: Optional[int] = None
    ) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code
        self.field = field
        self.index = index


class InvalidTaskError(RetireClusterError, ValueError):
    """A task or a value that is not allowed; the message names the field and the value. Correct it."""

    code = "invalid"


class TaskTooLargeError(InvalidTaskError):
    """Over a limit of size or count. Send less."""

    code = "too_large"


class TaskConflictError(InvalidTaskError):
    """The task ID is in use for other content. Choose another ID."""

    code = "conflict"


class NotFoundError(RetireClusterError, LookupError):
    """Main knows no such task or device."""

    code = "not_found"


class MainUnreachableError(RetireClusterError, builtins.ConnectionError):
    """Main does not answer. Check the address and that retire-cluster-main runs."""

    code = "unreachable"


class WaitTimeoutError(RetireClusterError, builtins.TimeoutError):
    """The time given for waiting is over. The task goes on; wait again or cancel it."""

    code = "timed_out"


class NotPermittedError(RetireClusterError, PermissionError):
    """This peer may not do that."""

    code = "not_permitted"


class ReplacedError(RetireClusterError):
    """Another process has joined under this device ID; this one has stopped."""

    code = "replaced"


class ProtocolError(RetireClusterError):
    """The two sides do not understand each other: one of them is too old, or has a mistake."""

    code = "malformed"


class ClosedError(RetireClusterError):
    """The scheduler or executor was closed."""

    code = "invalid"


class ProgramError(RetireClusterError):
    """A program of the cluster is missing, or ended, or does not do what it should. Its last lines are in the
    message."""

    code = "configuration"


_OF_CODE: Dict[str, Type[RetireClusterError]] = {
    "invalid": InvalidTaskError,
    "too_large": TaskTooLargeError,
    "conflict": TaskConflictError,
    "not_found": NotFoundError,
    "unreachable": MainUnreachableError,
    "timed_out": WaitTimeoutError,
    "not_permitted": NotPermittedError,
    "not_let_in": NotPermittedError,
    "replaced": ReplacedError,
    "malformed": ProtocolError,
    "unsupported_version": ProtocolError,
    "unknown_type": ProtocolError,
}


def from_body(body: Dict[str, Any]) -> RetireClusterError:
    """The exception for the body of an `error` message."""
    kind = _OF_CODE.get(body["code"], RetireClusterError)
    return kind(body["message"], code=body["code"], field=body.get("field", ""), index=body.get("index"))
