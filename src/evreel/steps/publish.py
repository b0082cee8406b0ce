"""Making one file ready for a release."""

from __future__ import annotations

from pathlib import Path

from evreel.dataset.settings import PublishSettings
from evreel.errors import ReleaseError
from evreel.outputs import atomic
from evreel.steps.common import LOG
from evreel.text import size_text


def publish(
    source: str | Path,
    output: str | Path,
    record: str | Path,
    settings: PublishSettings,
    *,
    store: str | Path | None = None,
    published: str | Path | None = None,
    threads: int = 1,
) -> None:
    """Write a file as others get it, and beside it what a release has to know of it.

    Parameters
    ----------
    source
        Events store, slices, samples or features.
    output
        The file that a release links: compressed again, or the same file where its bytes stay.
    record
        JSON: its checksums, origin and counts, and what checks of it have found.
    settings
        How it is compressed.
    store, published
        The events store of its recording, and what this step made of it, with its record beside
        it. Events that slices share with it are neither compressed nor checked again. Without
        them, all is done anew.
    threads
        How many compress.

    Raises
    ------
    ReleaseError
        If the file, or the published events, cannot be used.
    """
    from evreel.publish.prepare import Store, prepare
    from evreel.publish.record import Record

    events = None
    if store is not None and published is not None and Path(store).exists():
        of_events = Record.beside(Path(published))
        if of_events is None:
            raise ReleaseError("has no record beside it", path=published)
        events = Store(Path(store), Path(published), of_events)
    with atomic(output, record, inputs=[source, store, published]) as (file, said):
        made = prepare(
            Path(source).resolve(),
            file,
            compression=settings.compression,
            gzip_level=settings.gzip_level,
            threads=threads,
            store=events,
        )
        made.write(said)
    found = f", {len(made.looked.alone)} findings" if made.looked.alone else ""
    LOG.info("%s: %s%s", Path(output).name, size_text(made.size), found)
