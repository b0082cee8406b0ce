"""What reads recordings: one file a format, told by its content and not by its name.

`open_recording` opens one, which is iterated in chunks of events; `read_events` returns all events,
`event_chunks` those of a range of time in chunks. Both take an open recording, or a path.
"""

from evreel.recordings.open import Recording, event_chunks, open_recording, read_events

__all__ = ["Recording", "event_chunks", "open_recording", "read_events"]
