"""Forbid pages to load anything from elsewhere, by a content security policy.

furo sets the theme by one inline script, which is allowed by its hash, and carries
its colours in an inline style.
"""

import base64
import hashlib
import re
from pathlib import Path

import furo


def inline_scripts():
    """Return the hashes of the scripts in furo's base template."""
    base = Path(furo.__file__).parent / "theme" / "furo" / "base.html"
    for script in re.findall(r"<script>(.*?)</script>", base.read_text("utf-8"), re.S):
        digest = hashlib.sha256(script.encode()).digest()
        yield f"'sha256-{base64.b64encode(digest).decode()}'"


POLICY = {
    "default-src": "'none'",
    "script-src": " ".join(["'self'", *inline_scripts()]),
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'self'",
}


def setup(app):
    """Hand the policy to the templates."""
    app.connect("html-page-context", add_policy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_policy(app, pagename, templatename, context, doctree):
    context["content_security_policy"] = "; ".join(map(" ".join, POLICY.items()))
    context["has_description"] = 'name="description"' in context.get("metatags", "")
