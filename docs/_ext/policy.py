"""Forbid pages to load anything from elsewhere, by a content security policy.

furo's one inline script, which sets the theme, and its one inline style, which carries
the colours, are allowed by their hashes; its icons are `data:` addresses in its style
sheet. The search asks for pages, to show where in them a word was found.
"""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

import furo

SCRIPTS = Path(furo.__file__).parent / "theme" / "furo" / "base.html"


def setup(app):
    """Hand the policy to the templates."""
    app.connect("html-page-context", add_policy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_policy(app, pagename, templatename, context, doctree):
    context["content_security_policy"] = policy


def policy(styles):
    """Return the policy of a page with these inline styles."""
    allowed = {
        "default-src": ["'none'"],
        "script-src": ["'self'", *script_hashes()],
        "style-src": ["'self'", *hashes("style", styles)],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
    }
    return "; ".join(" ".join([key, *value]) for key, value in allowed.items())


@cache
def script_hashes():
    return list(hashes("script", SCRIPTS.read_text("utf-8")))


def hashes(tag, html):
    """Return the hashes, as a policy names them, of what stands in tags."""
    for content in re.findall(f"<{tag}>(.*?)</{tag}>", html, re.S):
        digest = hashlib.sha256(content.encode()).digest()
        yield f"'sha256-{base64.b64encode(digest).decode()}'"
