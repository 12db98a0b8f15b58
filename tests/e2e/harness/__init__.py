"""Real processes on loopback, and peers that speak the protocol byte by byte."""
