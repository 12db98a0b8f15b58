"""The client: a pure core, and a shell that owns the socket."""
