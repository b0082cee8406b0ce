"""Read HDF5 files of events that others made: DSEC's and RVT's columns, Metavision's records.

==================  ===============================================================================
columns             as DSEC has them, and RVT
events/t            (n,) µs; t_offset is added if there is one
events/x, y         (n,) column, row
events/p            (n,) 1 ON; 0 or else −1 OFF
t_offset            a whole number, µs; may be missing
events/height,      whole numbers, the sensor's size; both may be missing, as in DSEC (640x480)
events/width
ms_to_idx           not needed, not read
records             as Metavision has them
CD/events           (n,) records with fields x, y, p and t as above
EXT_TRIGGER/events  (m,) records with fields p (1 rising), t and id (channel); may be missing
geometry            attribute of the root, WIDTHxHEIGHT; may be missing
CD/indexes          not needed, not read
==================  ===============================================================================

`columns` says which numbers a column may hold, `data_sets` how they may be stored; ``ecf.py`` reads
Metavision's own compression, ECF. Other columns may be declared (`declared`).

Sources: https://dsec.ifi.uzh.ch/data-format; RVT (https://github.com/uzh-rpg/RVT), its reader of
event files; https://docs.prophesee.ai, HDF5 event file format.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.errors import EvreelError
from evreel.events import Sensor, Triggers
from evreel.files import probe
from evreel.recordings import declared
from evreel.recordings.columns import (
    ColumnsRecording,
    Fault,
    Rows,
    is_number,
    rows_at_a_time,
    shift_us,
)
from evreel.recordings.declared import ROLES
from evreel.recordings.decoded import PIECE_ROWS
from evreel.recordings.hdf5 import data_sets
from evreel.recordings.hdf5.data_sets import READABLE, WHOLE_AGAIN, Column, Look
from evreel.recordings.open import STRICT, Reading
from evreel.recordings.pieces import Piece, Side
from evreel.recordings.survey import WHOLE, Survey
from evreel.timebase import FARTHEST

COLUMNS = tuple(f"events/{name}" for name in ROLES)
SIZES = ("events/height", "events/width")
RECORDS, TRIGGERS = "CD/events", "EXT_TRIGGER/events"


class Hdf5Recording(ColumnsRecording):
    """An HDF5 file of events that others made; `open_foreign` chooses the class.

    Parameters
    ----------
    path, stream, reading
        As in `DecodedRecording`.
    sensor
        The sensor's size, if the file does not state it.
    looked
        The file's structure.

    Raises
    ------
    RecordingError
        If the structure is damaged, columns differ in length, or a filter is not known here.
    """

    _used: list[Column]  # the columns that are read row by row

    def __init__(
        self,
        path: str | Path,
        *,
        stream: int | str | None = None,
        sensor: Sensor | None = None,
        reading: Reading = STRICT,
        looked: Look,
    ) -> None:
        self._look = looked
        super().__init__(path, stream=stream, sensor=sensor, reading=reading)

    def _open(self) -> Sensor | None:
        stated = self._open_columns()
        for column in self._used:
            if column.n != self._used[0].n:
                self._fail(
                    f"{column.name} has {column.n} rows, but {self._used[0].name} has "
                    f"{self._used[0].n}",
                    0,
                    hint=WHOLE_AGAIN,
                )
        return stated

    @abstractmethod
    def _open_columns(self) -> Sensor | None:
        """Set `_used`; return the sensor's size, None if it is not stated."""

    @abstractmethod
    def _split(self, parts: list[npt.NDArray[Any]]) -> tuple[npt.NDArray[Any], ...]:
        """Return t, x, y and p from the parts that were read."""

    def _rows(self) -> Iterator[Rows]:
        first = self._used[0]
        most = rows_at_a_time(max(column.dtype.itemsize for column in self._used))
        for start in range(0, first.n, most):
            parts, fault = self._read(start, min(start + most, first.n))
            yield Rows(self._split(parts), first.place(start), 0, fault)
            if fault is not None:
                return

    def _vouched(self, name: str) -> bool:
        return self._used["txyp".index(name) if len(self._used) > 1 else 0].is_checked

    def _column(self, name: str, *, beside: bool = False) -> Column:
        of = self.path, self._file.fileno(), self._size
        return Column(*of, name, self._look, beside=beside)

    def _read(self, start: int, stop: int) -> tuple[list[npt.NDArray[Any]], Fault | None]:
        """Return rows that all columns have, and what ends them early."""
        parts, fault = [], None
        for column in self._used:
            part, found = column.read(start, stop)
            if found is not None:
                fault, stop = found, start + len(part)
            parts.append(part)
        return [part[: stop - start] for part in parts], fault


class Hdf5ColumnsRecording(Hdf5Recording):
    """An HDF5 file with the columns of DSEC and RVT; all else as in `Hdf5Recording`."""

    format = "hdf5-columns"

    def _open_columns(self) -> Sensor | None:
        self._used = [self._column(name) for name in COLUMNS]
        for column in self._used:
            if not is_number(column.dtype):
                problem = f"{column.name} is of {column.dtype}; numbers are expected"
                self._recode(problem, 0, READABLE)
        offset = self._number("t_offset")
        if abs(offset or 0) > FARTHEST:
            self._fail(f"t_offset={offset} µs is more than 285 years off", 0, hint=WHOLE_AGAIN)
        self._added_us = offset or 0
        return self._stated_size()

    def _stated_size(self) -> Sensor | None:
        """Return the sensor's size, None if it is not stated."""
        height, width = (self._number(name) for name in SIZES)
        if height is None and width is None:
            return None
        if height is None or width is None:
            self._fail("states only one of events/height and events/width", 0)
        try:
            return Sensor.checked(height, width)
        except EvreelError as error:
            self._fail(f"events/height and events/width: {error.problem}", 0)

    def _number(self, name: str) -> int | None:
        """Return a data set's only number, None if there is no such data set."""
        told = self._look.sets.get(name)
        if told is None:
            return None
        if "value" in told:
            return int(told["value"])
        column = self._column(name) if told.get("shape") != [] else None
        if column is None or column.n != 1 or column.dtype.kind not in "iu":
            self._recode(f"{name} is not one whole number", 0, READABLE)
        values, fault = column.read(0, 1)
        if fault is not None:
            self._raise(fault)
        return int(values[0])

    def _split(self, parts: list[npt.NDArray[Any]]) -> tuple[npt.NDArray[Any], ...]:
        return tuple(parts)


class Hdf5DeclaredRecording(Hdf5ColumnsRecording):
    """An HDF5 file whose columns are where `Reading.columns` says; all else as in `Hdf5Recording`.

    Raises
    ------
    UnknownFormatError
        If something is not there, with what is, and what to declare.
    """

    def _open_columns(self) -> Sensor | None:
        assert self._declared is not None
        columns = dict(self._declared.columns)
        if self._declared.order:
            columns = self._in_order(self._declared)
        more = columns["t"].shift_name
        names = list(dict.fromkeys(column.name for column in columns.values()))
        wanted = [*names, *([more] if more else [])]
        self._look = data_sets.look(self.path, *wanted, *SIZES)
        for name in wanted:
            if name not in self._look.sets:
                raise data_sets.unknown(self.path, f"has no data set {name}")
        self._used = [self._column(name, beside=True) for name in names]
        self._places: dict[str, tuple[int, str | None]] = {}
        for role, column in columns.items():
            k = names.index(column.name)
            field = None if column.part is None else str(column.part)
            fields: Mapping[str, Any] = self._used[k].dtype.fields or {}
            if field is None and list(fields) == ["0"]:  # one column, of two dimensions
                field = "0"
            kind = fields.get(field, (None,))[0] if field is not None else self._used[k].dtype
            if kind is None or not is_number(kind):
                has = f"has {', '.join(fields)}" if fields else f"is of {self._used[k].dtype}"
                self._recode(f"{column.said()} is not a column: {column.name} {has}", 0)
            self._places[role] = k, field
        if more:
            try:
                self._shift_us = shift_us(self._declared_number(more), columns["t"])
            except ValueError as error:
                self._fail(f"{more}: {error}", 0)
        return self._stated_size() or (self._declared.sensor if self._given is None else None)

    def _in_order(self, said: declared.Declaration) -> dict[str, declared.Column]:
        """Return places for columns in order: those of DSEC, or of the only fitting data set."""
        order = said.order
        held = data_sets.look(self.path, probe.ALL).held
        if all(name in held for name in COLUMNS):
            return {
                role: column._replace(name=f"events/{role}")
                for role, column in said.columns.items()
            }
        fitting = [name for name, found in held.items() if found.shape[1:] == (len(order),)]
        if len(fitting) != 1:
            n = len(fitting) or "no"
            raise data_sets.unknown(self.path, f"has {n} data sets with {len(order)} columns")
        return {
            role: column._replace(name=fitting[0], part=order.index(role))
            for role, column in said.columns.items()
        }

    def _declared_number(self, name: str) -> float:
        """Return the only number of a data set, whole or not."""
        told = self._look.sets[name]
        for kind in ("value", "number"):
            if kind in told:
                return float(told[kind]) if kind == "number" else int(told[kind])
        column = None if told.get("shape") == [] else self._column(name)
        if column is None or column.n != 1 or not is_number(column.dtype):
            self._recode(f"{name} is not one number", 0)
        values, fault = column.read(0, 1)
        if fault is not None:
            self._raise(fault)
        return float(values[0]) if column.dtype.kind == "f" else int(values[0])

    def _split(self, parts: list[npt.NDArray[Any]]) -> tuple[npt.NDArray[Any], ...]:
        return tuple(
            parts[k] if field is None else parts[k][field]
            for k, field in (self._places[role] for role in ROLES)
        )

    def _vouched(self, name: str) -> bool:
        return self._used[self._places[name][0]].is_checked


class Hdf5RecordsRecording(Hdf5Recording):
    """An HDF5 file with Metavision's records; all else as in `Hdf5Recording`.

    External triggers are kept: `edge` is 1 where the signal rises and 0 where it falls, `id` its
    channel.
    """

    format = "hdf5-records"

    def _open_columns(self) -> Sensor | None:
        self._used = [self._events_column(RECORDS)]
        self._need(self._used[0], "txyp")
        self._triggers = None
        if TRIGGERS in self._look.sets:
            self._triggers = self._column(TRIGGERS)
            self._need(self._triggers, ("t", "p", "id"))
        geometry = self._look.attributes["geometry"]
        if geometry is None:
            return None
        try:
            return Sensor.parse(geometry)
        except EvreelError:
            self._fail(f"geometry {geometry[:40]!r} is not a sensor size, WIDTHxHEIGHT", 0)

    def _events_column(self, name: str) -> Column:
        return self._column(name)

    def _need(self, column: Column, names: Iterable[str]) -> None:
        """Raise if a column lacks one of these numeric fields."""
        fields: Mapping[str, Any] = column.dtype.fields or {}
        for name in names:
            if name not in fields or not is_number(fields[name][0]):
                listed = ", ".join(fields) or "-"
                problem = f"{column.name} has no numeric field {name} among {listed}"
                self._recode(problem, 0, READABLE)

    def _split(self, parts: list[npt.NDArray[Any]]) -> tuple[npt.NDArray[Any], ...]:
        return tuple(parts[0][name] for name in "txyp")

    def _pieces(self) -> Iterator[Piece | Side]:
        yield from super()._pieces()
        yield from self._marks()

    def _marks(self) -> Iterator[Triggers]:
        """Yield the triggers."""
        if self._triggers is None:
            return
        for start in range(0, self._triggers.n, PIECE_ROWS):
            stop = min(start + PIECE_ROWS, self._triggers.n)
            marks, fault = self._triggers.read(start, stop)
            for name, most in (("t", FARTHEST), ("p", 1), ("id", np.iinfo(np.int16).max)):
                values = marks[name]
                least = -FARTHEST if name == "t" else 0
                fine = (values >= least) & (values <= most)
                if not fine.all():
                    row = int(np.argmin(fine))
                    self._raise(self._judged_trigger(start + row, name, least, most))
            yield Triggers(
                marks["t"].astype(np.int64),
                marks["p"].astype(np.int8),
                marks["id"].astype(np.int16),
            )
            if fault is not None:
                self._raise(fault)

    def _judged_trigger(self, row: int, name: str, least: int, most: int) -> Fault:
        """Return what is wrong with a field of a trigger: damage, or another coding of them all."""
        triggers, survey = self._triggers, Survey()
        assert triggers is not None
        for start in range(0, triggers.n, PIECE_ROWS):
            part, _ = triggers.read(start, min(start + PIECE_ROWS, triggers.n))
            values = part[name]
            survey.add((values < least) | (values > most), values)
        value = triggers.read(row, row + 1)[0][name][0]
        problem, offset = f"trigger {row} has {name}={value}", triggers.place(row)
        if not triggers.is_checked and survey.is_damage():
            return Fault(problem, offset)
        hint = WHOLE + f"Save {name} as a whole number of {least} to {most}."
        return Fault(f"{problem}: {survey.said('triggers')}", offset, hint, whole=True)
