"""The content of a report's page, as a reader and as a browser see it."""

import html.parser
import re


def tables(markdown):
    """Returns the tables of a page, each as its header and a dictionary of rows."""
    parsed = []
    for block in re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE):
        lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in block.splitlines()]
        header, _, *body = [[cell.strip() for cell in line] for line in lines]
        parsed.append((header, {line[0]: line[1:] for line in body}))
    return parsed


class Parser(html.parser.HTMLParser):
    """Collects tags and their attributes, as a browser would see them."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


def check(text, figures):
    """Checks that nothing from outside became a tag, and that nothing is loaded."""
    parsed = Parser(text).tags
    tags = [tag for tag, _ in parsed]
    assert tags.count("script") == 1
    assert tags.count("b") == 0
    assert tags.count("img") == figures
    for tag, attributes in parsed:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in attributes.keys() & {"src", "href"}:
            assert re.match(r"data:image/(png|svg\+xml);base64,", attributes[name])
