"""Writing a file whole or not at all."""

import uuid


def write_whole(path, content):
    """Write bytes to a `pathlib.Path`; until all are written, what was there stays.

    Raises
    ------
    OSError
        If it can't be written, with its name. What was there is kept, and nothing is
        left beside it.
    """
    part = path.with_name(f"{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise
    finally:
        part.unlink(missing_ok=True)
