import pytest

from keras_swish.train.reporting import html


def test_no_file_next_to_the_page_gets_into_it(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "in").mkdir()
    for name in ("/etc/hostname", "../secret.txt", "secret.txt"):
        with pytest.raises(ValueError, match="No figure of this page"):
            html.render(f"# A\n\n![x]({name})", tmp_path / "in")
