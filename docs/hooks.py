"""Brings the files of the repository that pages link to into the site.

Pages link to files outside docs/ as they lie in a checkout, such as `../results/search/table.md`,
so that their links lead somewhere in the repository too. In the site these files have the paths
that they have in the repository.
"""

import pathlib
import posixpath
import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = pathlib.Path(__file__).resolve().parent.parent
_PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "SECURITY.md")
_SUFFIXES = {".csv", ".html", ".json", ".md", ".png", ".svg"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what was measured, without the logs of single runs, and the texts of the root."""
    measured = (
        path
        for path in sorted((ROOT / "results").rglob("*"))
        if path.suffix in _SUFFIXES and "runs" not in path.parts
    )
    for path in (*(ROOT / name for name in _PAGES), *measured):
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links into what they are in the site."""
    in_site = page.file.src_uri
    generated = page.file.generated_by is not None
    folder = posixpath.dirname(in_site if generated else f"docs/{in_site}")

    def link(match: re.Match) -> str:
        target, hash_, anchor = match[1].partition("#")
        if not target or "://" in target:
            return match[0]
        path = posixpath.normpath(posixpath.join(folder, target)).removeprefix("docs/")
        if files.get_file_from_path(path) is None:
            return match[0]
        relative = posixpath.relpath(path, posixpath.dirname(in_site) or ".")
        return f"]({relative}{hash_}{anchor})"

    return re.sub(r"\]\(([^)\s]+)\)", link, markdown)
