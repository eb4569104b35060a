"""Where bytes come from: a plain file, a gzip file or a member of a zip, told apart by content and never by name."""

from __future__ import annotations

import contextlib
import gzip
import io
import pickletools
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from collabtheory.errors import DataError

HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class Source:
    """One stream of bytes: a file, unpacked if it is gzip, or one ``member`` of a zip file."""

    path: Path
    member: str | None = None

    @property
    def label(self) -> str:
        """How messages name it."""
        return str(self.path) if self.member is None else f"{self.path}/{self.member}"

    @property
    def file_name(self) -> str:
        """The last part of the name."""
        return self.path.name if self.member is None else self.member.rsplit("/", 1)[-1]

    @contextlib.contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open for reading, unpacked; a failure to open or read becomes a DataError."""
        with contextlib.ExitStack() as stack, self.reading():
            if self.member is not None:
                stream = stack.enter_context(stack.enter_context(zipfile.ZipFile(self.path)).open(self.member))
            else:
                stream = stack.enter_context(open(self.path, "rb"))
                if _starts_with(stream, b"\x1f\x8b"):
                    stream = cast(IO[bytes], stack.enter_context(gzip.GzipFile(fileobj=stream)))
            yield stream

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Turn failures of the file system and of decompression into one clear line."""
        try:
            yield
        except FileNotFoundError as error:
            raise DataError(f"{self.label}: there is no such file") from error
        except IsADirectoryError as error:
            raise DataError(f"{self.label}: is a folder, not a file") from error
        except EOFError as error:
            raise DataError(f"{self.label}: the compressed file is cut off; copy or download it again") from error
        except (gzip.BadGzipFile, zlib.error, zipfile.BadZipFile) as error:
            raise DataError(f"{self.label}: the compressed file is damaged ({error}); download it again") from error
        except OSError as error:
            raise DataError(f"{self.label}: cannot be read: {error.strerror or error}") from error
        # zipfile says so of encryption (RuntimeError) and of packing methods that it lacks (NotImplementedError).
        except (RuntimeError, NotImplementedError) as error:
            raise DataError(f"{self.label}: cannot be unpacked: {str(error).splitlines()[0]}") from error

    def head(self, n_bytes: int = HEAD_BYTES) -> bytes:
        """Return the first bytes, unpacked."""
        with self.open() as stream:
            return stream.read(n_bytes)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        r"""Yield ``(number, line)`` from 1 on, without the line end, which may be \n, \r\n or \r."""
        with self.open() as stream:
            # Latin-1 maps bytes to characters one to one: it finds line ends and leaves decoding to the caller.
            text = io.TextIOWrapper(stream, encoding="latin-1", newline=None)
            for number, line in enumerate(text, start=1):
                yield number, line.rstrip("\n").encode("latin-1")


def _starts_with(stream: IO[bytes], magic: bytes) -> bool:
    start = stream.read(len(magic))
    stream.seek(0)
    return start == magic


def refuse_pickle(source: Source, head: bytes) -> None:
    """Refuse a pickle, whatever its name: opening one runs the code that it holds.

    Protocols 2 and later start with two fixed bytes; the older text protocols are recognised by walking through the
    opcodes, which executes nothing.
    """
    binary = len(head) >= 2 and head[0] == 0x80 and 2 <= head[1] <= 5
    if binary or _is_text_pickle(head):
        raise DataError(
            f"{source.label}: is a Python pickle; pickles can run code and are never opened; "
            "write the data as csv or parquet"
        )


def _is_text_pickle(head: bytes) -> bool:
    if not head or len(head) >= HEAD_BYTES or head[:1] not in b"(c]}l":
        return False
    try:
        opcodes = list(pickletools.genops(head))
    except Exception:  # genops raises whatever its argument readers do; all of it means "not a pickle"
        return False
    last, _, position = opcodes[-1]
    return last.name == "STOP" and position is not None and not head[position + 1 :].strip()
