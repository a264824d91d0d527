import pytest
import yaml
from huggingface_hub import ModelCard
from jinja2 import DictLoader

from hf_select.errors import HFSelectError
from hf_select.hub import render


@pytest.fixture
def card(monkeypatch):
    """Render a template given as text, through the environment that cards use."""

    def rendered(template, **values):
        environment = render._environment().overlay(loader=DictLoader({"card": template}))
        monkeypatch.setattr(render, "_environment", lambda: environment)
        text = render.render_card("card", **values)
        monkeypatch.undo()
        return text

    return rendered


def test_a_missing_value_is_an_error_that_names_it(card):
    with pytest.raises(HFSelectError, match="'rows' is undefined"):
        card("{{ rows }} rows")


def test_a_missing_attribute_is_an_error_too(card):
    with pytest.raises(HFSelectError, match="no attribute 'name'"):
        card("{{ pool.name }}", pool={"rows": 1})


def test_none_is_never_printed(card):
    with pytest.raises(HFSelectError, match="None"):
        card("{{ revision }}", revision=None)


def test_an_unknown_template_is_one_sentence():
    with pytest.raises(HFSelectError, match="no card template 'absent.jinja'"):
        render.render_card("absent.jinja")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a|b", "a\\|b"),
        ("<b>x</b>", "&lt;b&gt;x&lt;/b&gt;"),
        ("[click](http://evil)", "\\[click\\](http://evil)"),
        ("![](x.png)", "!\\[\\](x.png)"),
        ("*bold* and `code`", "\\*bold\\* and \\`code\\`"),
        ("two\n\n---\nlines", "two --- lines"),
        ("# heading", "&#35; heading"),
        ("- item", "&#45; item"),
        ("12. item", "12&#46; item"),
        ("0.5 and -3", "0.5 and -3"),
        ("---", "&#45;--"),
        ("row_status stays, _edge_ does not", "row_status stays, \\_edge\\_ does not"),
        ("$x^2$", "\\$x^2\\$"),
        ("a&amp;b", "a&amp;amp;b"),
        ("right\u202eleft\x00", "right left"),
        ("{{ 7 * 7 }}", "{{ 7 \\* 7 }}"),
        (1151, "1151"),
        (2e-05, "2e-05"),
        (True, "True"),
    ],
)
def test_values_are_shown_literally(card, value, shown):
    assert card("{{ value }} x", value=value) == f"{shown} x\n"


def test_template_text_and_constants_keep_their_markdown(card):
    template = "# Title\n\n| a | b |\n{% if yes %}\n**bold**\n{% endif %}"
    assert card(template, yes=True) == "# Title\n\n| a | b |\n**bold**\n"


@pytest.mark.parametrize(
    ("value", "shown"),
    [("org/vit-pool", "`org/vit-pool`"), ("a|b", "<code>a&#124;b</code>"), ("`_x`", "<code>&#96;&#95;x&#96;</code>")],
)
def test_code(card, value, shown):
    assert card("{{ value | code }}", value=value) == f"{shown}\n"


VALUES = [
    "yes",
    "007",
    "a: b # c",
    "x\n---\ny",
    "null",
    '"q"',
    "2e-05",
    3,
    0.5,
    2e-05,
    None,
    True,
    ["a", "b: c"],
    {"k": 1},
]


@pytest.mark.parametrize("value", VALUES)
def test_yaml_values_read_back_as_themselves(card, value):
    expected = " ".join(value.split()) if isinstance(value, str) else value
    text = card("key: {{ value | yaml }}", value=value)
    assert yaml.safe_load(text) == {"key": expected}
    assert text.count("\n") == 1


def test_front_matter_can_not_be_closed_by_a_value(card):
    data = {"license": "mit", "title": "x\n---\n# y", "absent": None, "tags": ["a\n---", "no"]}
    read = ModelCard(card("{{ data | front_matter }}\n\nbody", data=data), ignore_metadata_errors=False)
    assert read.data.to_dict() == {"license": "mit", "title": "x --- # y", "tags": ["a ---", "no"]}
    assert read.text == "\nbody\n"
