"""Bytes ↔ types: one file a format. `open_recording` tells a recording's format by its content."""

from evreel.recordings.open import Recording, event_chunks, open_recording, read_events

__all__ = ["Recording", "event_chunks", "open_recording", "read_events"]
