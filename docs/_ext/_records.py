"""Hashes of files, and records of them that survive a killed build."""

import hashlib
import json
import os
from pathlib import Path


def files(folder):
    """Return all files of a folder, in order, but for Python's bytecode."""
    paths = (
        Path(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if not name.endswith(".pyc")
    )
    return sorted(paths)


def hashes(folder, without=()):
    """Return the hash of each file of a folder by its path there."""
    return {
        path.relative_to(folder).as_posix(): sha256(path)
        for path in files(folder)
        if not any(path.is_relative_to(other) for other in without)
    }


def sha256(path):
    """Return the SHA-256 of a file, None where it can't be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def read_json(path, default=None):
    """Return what a record says, or the default where it is missing or damaged."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {} if default is None else default


def write_json(path, content):
    """Write a record in one step."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1), "utf-8")
    os.replace(part, path)
