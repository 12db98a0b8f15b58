"""The wire protocol, version 1 (docs/protocol.md): encoding, and bounded decoding. Pure: no sockets, clocks
or threads.
"""

from retire_cluster.wire.codec import Message, decode, encode
from retire_cluster.wire.refused import Refused

__all__ = ["Message", "Refused", "decode", "encode"]
