// File descriptors that a process sends to another one through a socket.
//
// They are closed by whoever reads the message, wanted or not. Closing can take long: a connection with SO_LINGER waits
// for its other end. So a handler could hold up the agent with one that is none of its business.
#pragma once

namespace retire::sandbox {

// Nobody can send descriptors to this end of a Unix socket. False where the kernel cannot do that (before Linux 6.16);
// there filter_syscalls() refuses SO_LINGER.
bool refuse_descriptors(int socket);
// Whether the kernel can.
bool can_refuse_descriptors();

}  // namespace retire::sandbox
