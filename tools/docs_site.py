"""Hooks of mkdocs: what pages link to outside docs/ is brought into the site.

ARCHITECTURE.md becomes a page, other files lie beside the pages. Links are written as they work in
a checkout (`../examples/go/main.go`) and rewritten here.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pygments.formatters import HtmlFormatter

REPOSITORY = Path(__file__).resolve().parent.parent
ARCHITECTURE = "architecture.md"
OUTSIDE = re.compile(r"\]\(\.\./(?!ARCHITECTURE)([^)#]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the colours of code, ARCHITECTURE.md and each other file that a page links to; one
    that is not there is left out, so that its link is reported.
    """
    colours = HtmlFormatter(style="friendly").get_style_defs(".highlight")
    files.append(File.generated(config, "css/highlight.css", content=colours))
    text = (REPOSITORY / "ARCHITECTURE.md").read_text()
    files.append(File.generated(config, ARCHITECTURE, content=text))
    pages = "\n".join(page.read_text() for page in Path(config.docs_dir).glob("*.md"))
    for path in sorted(set(OUTSIDE.findall(pages))):
        if (REPOSITORY / path).is_file():
            files.append(File.generated(config, path, abs_src_path=str(REPOSITORY / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Points links to where `on_files` put what they name."""
    if page.file.src_uri == ARCHITECTURE:
        return markdown.replace("](docs/", "](")
    markdown = markdown.replace("](../ARCHITECTURE.md", f"]({ARCHITECTURE}")
    return OUTSIDE.sub(r"](\1)", markdown)
