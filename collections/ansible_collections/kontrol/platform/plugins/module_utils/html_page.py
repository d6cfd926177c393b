"""A self-contained HTML page: one style sheet, no script, nothing fetched, every value escaped."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, StrictUndefined

FOLDER: Final = Path(__file__).parent
STYLE: Final = "report.css"


def render(template: str, **content: Any) -> str:
    """Return the page that a template beside this file makes; it gets `css` and, for its policy, `css_digest`."""
    css = (FOLDER / STYLE).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(f"\n{css}".encode()).digest()).decode()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    text = (FOLDER / template).read_text(encoding="utf-8")
    return environment.from_string(text).render(css=css, css_digest=digest, **content)
