"""Link names in code to other projects' manuals, without a network.

`docs/inventories` holds a text file a project: its address in the first line, then a
role, a name and a path a line. They are packed into the form that intersphinx reads.
"""

import zlib
from pathlib import Path

HEADER = """# Sphinx inventory version 2
# Project: {}
# Version:
# The remainder of this file is compressed using zlib.
"""


def setup(app):
    """Pack the inventories before intersphinx reads them."""
    app.setup_extension("sphinx.ext.intersphinx")
    app.connect("config-inited", add_inventories, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_inventories(app, config):
    packed = Path(app.doctreedir, "inventories")
    packed.mkdir(parents=True, exist_ok=True)
    for path in sorted(Path(app.confdir, "inventories").glob("*.txt")):
        address, *lines = path.read_text("utf-8").splitlines()
        target = packed / f"{path.stem}.inv"
        target.write_bytes(pack(path.stem, lines))
        config.intersphinx_mapping[path.stem] = (address, str(target))


def pack(project, lines):
    """Return an inventory of lines ``role name path``."""
    entries = [line.split() for line in lines if line]
    body = "".join(f"{name} py:{role} 1 {path} -\n" for role, name, path in entries)
    return HEADER.format(project).encode() + zlib.compress(body.encode())
