"""Read and write AEDAT 4, the format of iniVation's DV and dv-processing.

A file is the line ``#!AER-DAT4.0``, a header, packets, and a table of the packets. Header, table
and the content of each packet are flatbuffers with their size in front (uint32); all numbers are
little-endian.

======  ======================================================================================
header  ``IOHE``: compression, position of the table or −1, the streams as XML
packet  int32 stream, int32 bytes, then that many bytes, compressed: ``EVTS`` (an array of events
        of 16 bytes), ``TRIG`` or ``IMUS`` (a vector of tables), ``FRME`` (one table)
table   ``FTAB``, compressed, up to the end of the file: for each packet its position, stream,
        number of elements, first and last timestamp
======  ======================================================================================

Known from files that DV and dv-processing 2.0.4 wrote. Their packets have checksums only under
ZSTD, so a reader finds only damage that breaks a rule: every rule is checked here, and nothing in a
file is trusted before that.
"""

from __future__ import annotations

from evreel.recordings.aedat4.packets import MAGIC
from evreel.recordings.aedat4.read import Aedat4Recording
from evreel.recordings.aedat4.write import Aedat4Writer

__all__ = ["MAGIC", "Aedat4Recording", "Aedat4Writer"]
