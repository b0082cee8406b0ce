"""Readers of recordings, one file per format, chosen by a recording's content and not its name.

`open_recording` opens a recording, to be iterated in chunks of events. `read_events` returns its
events at once, `event_chunks` in chunks; both take an open recording or a path, and a time range.
"""

from evreel.recordings.open import Recording, event_chunks, open_recording, read_events

__all__ = ["Recording", "event_chunks", "open_recording", "read_events"]
