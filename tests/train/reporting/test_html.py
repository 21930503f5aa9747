import base64
import re

import pytest

from keras_swish.train.reporting import html


def test_no_file_next_to_the_page_gets_into_it(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "in").mkdir()
    for name in ("/etc/hostname", "../secret.txt", "secret.txt"):
        with pytest.raises(ValueError, match="No figure of this page"):
            html.render(f"# A\n\n![x]({name})", tmp_path / "in")


def test_a_figure_has_its_caption_and_colours_for_both_kinds_of_page(tmp_path):
    (tmp_path / "a.svg").write_text('<svg width="1"><g style="fill: #797979"/></svg>')
    page = html.render(f"# A\n\n{html.figure('a.svg', 'what is seen', 'What it means.')}", tmp_path)
    figure = re.search(r'<img src="data:image/svg\+xml;base64,(\S+)" alt="what is seen" />', page)
    assert "prefers-color-scheme:dark" in base64.b64decode(figure[1]).decode()
    assert page[figure.end() :].lstrip().startswith("<em>What it means.</em>")


def test_a_fold_is_let_through_and_no_other_html(tmp_path):
    hostile = "<details><summary><b>bold</b></summary>\n\n<script>1</script>\n\n<details open>"
    page = html.render(f"# A\n\n{html.fold('More', '* one')}\n\n{hostile}", tmp_path)
    assert re.search(
        r"<details><summary>More</summary>\s*<ul>\s*<li>one</li>\s*</ul>\s*</details>", page
    )
    assert "<b>" not in page
    assert page.count("<script>") == 1  # the page's own
    assert "<details open>" not in page
    assert not re.search(r"<p>\s*</p>", page)


def test_a_line_is_not_broken_within_code(tmp_path):
    formula = (
        "abs(max(x, 0)) - 0.1 * min(x, sin(x)) + beta * tanh(x) * sigmoid(x) - 0.0005 * cos(x)"
    )
    text = (
        f"Of two comparisons with {html.code(formula + ' * x')}, none is significant, as it seems."
    )
    page = html.render(html.join(["# Title", text]), tmp_path)
    assert "<li>" not in page
    assert f"<code>{formula} * x</code>" in page
