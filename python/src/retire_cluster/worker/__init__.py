"""The worker: a pure core, slots that run handlers, and what the device can do."""
