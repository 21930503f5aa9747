"""A Markdown page as one HTML file that needs nothing else and opens from a disk.

Text from outside, such as a formula or a command line, goes into the Markdown through `code`;
the renderer escapes it, and lets no HTML of the Markdown through.
"""

import base64
import html
import pathlib
import re
import string
import textwrap
from typing import TYPE_CHECKING, Any

from keras_swish import drawing

if TYPE_CHECKING:
    from markdown_it.token import Token

# The lines between which a page folds something away; GitHub shows them as a browser does.
_FOLD = re.compile(r"<details><summary>[\w ,.:()%'-]+</summary>|</details>")

# A space that is kept where it is while a line is broken.
_KEPT = "\ue000"

_TEMPLATE = string.Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>$title</title>
<style>
:root { color-scheme: light dark; --line: #8885; --soft: #8881; }
body { max-width: 75rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9rem }
.wide { overflow-x: auto; margin: 1rem 0 }
th, td { padding: 0.2rem 0.6rem; text-align: right; white-space: nowrap }
th:first-child, td:first-child, .text { text-align: left }
td { border-top: 1px solid var(--line) }
tbody tr:hover { background: var(--soft) }
th button { font: inherit; font-weight: 600; color: inherit; background: none; border: 0;
  padding: 0; cursor: pointer }
th[aria-sort=ascending] button::after { content: " \\2191" }
th[aria-sort=descending] button::after { content: " \\2193" }
img { display: block; width: min(100%, 48rem); height: auto; margin-top: 1.5rem }
img + em { display: block; font-style: normal; font-size: 0.9rem; opacity: 0.75 }
details { margin: 1rem 0 }
summary { cursor: pointer }
p, li { overflow-wrap: anywhere }
code { overflow-wrap: anywhere; background: var(--soft) }
td code { background: none }
</style>
</head>
<body>
$body
<script>
const number = text => /^[+-]?[\\d.]/.test(text) ? parseFloat(text) : NaN;
for (const table of document.querySelectorAll("table")) {
  const box = document.createElement("div");
  box.className = "wide";
  table.replaceWith(box);
  box.append(table);
  table.querySelectorAll("th").forEach((th, column) => {
    const cells = [...table.rows].map(row => row.cells[column]);
    if (cells.slice(1).every(cell => isNaN(number(cell.textContent)))) {
      cells.forEach(cell => cell.classList.add("text"));
    }
    const button = document.createElement("button");
    button.append(...th.childNodes);
    th.append(button);
    button.onclick = () => {
      const falls = th.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
      th.setAttribute("aria-sort", falls ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows].map(row => [row.cells[column].textContent, row]);
      rows.sort(([a], [b]) => {
        const [x, y] = [number(a), number(b)];
        if (isNaN(x) !== isNaN(y)) return isNaN(x) - isNaN(y);
        return (falls ? -1 : 1) * (isNaN(x) ? a.localeCompare(b) : x - y);
      });
      table.tBodies[0].append(...rows.map(([, row]) => row));
    };
  });
}
</script>
</body>
</html>
""")


def code(text: str) -> str:
    r"""Returns text as a Markdown code span, a plain word as it is.

    Example:
        >>> from keras_swish.train.reporting import html
        >>> print(html.code("swish"), html.code("arctan(x)**2 - x"))
        swish `arctan(x)**2 - x`
    """
    text = " ".join(str(text).split())
    if re.fullmatch(r"\w+", text) and not text.startswith("_") and not text.endswith("_"):
        return text
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def table(lines: list[list[str]]) -> str:
    """Returns lines of cells as a Markdown table, laid out to read well on a terminal, too.

    Args:
        lines: The header, and then the rows.
    """
    lines = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    header, *body = (
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([header, rule, *body])


def without_empty_columns(lines: list[list[str]]) -> list[list[str]]:
    """Returns the lines of a table without the columns that no row fills.

    Args:
        lines: The header, and then the rows.

    Example:
        >>> from keras_swish.train.reporting import html
        >>> html.without_empty_columns([["a", "b", "c"], ["1", "", "3"], ["4", "", ""]])
        [['a', 'c'], ['1', '3'], ['4', '']]
    """
    columns = [column for column in zip(*lines, strict=True) if any(column[1:])]
    return [list(line) for line in zip(*columns, strict=True)]


def figure(name: str, alternative: str, caption: str) -> str:
    """Returns a figure with the text below it.

    Args:
        name: Its file.
        alternative: What is read out in its place.
        caption: The text below it, of this package's own words.
    """
    return f"![{alternative}]({name})\n*{caption}*"


def fold(summary: str, content: str) -> str:
    """Returns content that a click opens.

    Args:
        summary: What stands there before, of this package's own words.
        content: Markdown.
    """
    return f"<details><summary>{summary}</summary>\n\n{content}\n\n</details>"


def join(blocks: list[str]) -> str:
    """Returns blocks of Markdown as a page; empty ones are left out.

    The long lines of the prose are broken; tables, items and figures stay as they are.
    """
    return "\n\n".join(map(_wrapped, filter(None, blocks))) + "\n"


def _wrapped(block: str) -> str:
    return "\n".join(
        line if line.startswith(("#", "|", "*", "!", " ", "<")) else _filled(line)
        for line in block.split("\n")
    )


def _filled(line: str) -> str:
    """Returns a line broken into several, but not within code.

    A line that began with the minus of a formula would be an item of a list.
    """
    kept = re.sub(r"(`+).+?\1", lambda span: span[0].replace(" ", _KEPT), line)
    filled = textwrap.fill(kept, 100, break_long_words=False, break_on_hyphens=False)
    return filled.replace(_KEPT, " ")


def origin(record: dict[str, Any]) -> tuple[str, str]:
    """Returns the commands that filled a folder, and the machines that they ran on.

    Args:
        record: The content of the folder's config.json.
    """
    commands = dict.fromkeys(code(start["command"]) for start in record["starts"])
    machines = dict.fromkeys(
        code(", ".join(f"{k} {v}" for k, v in start["environment"].items() if v))
        for start in record["starts"]
    )
    return f"Command: {', then '.join(commands)}.", f"Machine: {'; then '.join(machines)}."


def render(markdown: str, folder: pathlib.Path) -> str:
    r"""Returns the page in HTML: its figures inside, its tables sorted at a click.

    Args:
        markdown: The page; its first heading is the title.
        folder: Folder of the figures that it names.

    Raises:
        ValueError: If it names a figure that is not in this folder.

    Example:
        >>> import pathlib
        >>> from keras_swish.train.reporting import html
        >>> text = html.render("# A & B\n\n<b>bold</b>", pathlib.Path())
        >>> "<title>A &amp; B</title>" in text, "&lt;b&gt;bold" in text
        (True, True)
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    title = next((t.children for t in tokens if t.type == "inline"), [])
    for token in tokens:
        for child in token.children or ():
            if child.type == "image":
                child.attrs["src"] = _data(folder, str(child.attrs["src"]))
    _open_folds(tokens)
    return _TEMPLATE.substitute(
        title=html.escape("".join(child.content for child in title or ())),
        body=parser.renderer.render(tokens, parser.options, {}),
    )


def _open_folds(tokens: "list[Token]") -> None:
    """Lets the lines of folds through, and no other HTML."""
    for number, token in enumerate(tokens):
        if token.type == "inline" and _FOLD.fullmatch(token.content):
            token.type = "html_block"
            for around in (tokens[number - 1], tokens[number + 1]):
                around.hidden = True  # the paragraph


def _data(folder: pathlib.Path, name: str) -> str:
    path = folder / name
    if path.parent != folder or path.suffix not in (".png", ".svg"):
        raise ValueError(f"No figure of this page: {name!r}.")  # a name from outside asks for it
    if path.suffix == ".png":
        return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    svg = drawing.on_page(path.read_text(encoding="utf-8"))
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
