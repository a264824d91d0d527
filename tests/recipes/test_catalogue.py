"""The table of recipes, its choices and the results that come with the package."""

import json
from dataclasses import fields

import pytest

from hf_select.errors import HFSelectError, UnknownName, UsageError
from hf_select.recipes import catalogue
from hf_select.recipes.catalogue import Measured, measured, recipe, recipe_class, recipe_names
from hf_select.recipes.recipe import Cost, Recipe
from hf_select.recipes.scored_run import limits_of


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_made_by_its_name_and_tells_what_it_is(name):
    made = recipe(name)
    assert type(made) is recipe_class(name) and made.name == name
    assert made.paper and isinstance(made.cost, Cost)
    told = made.describe()
    assert told["name"] == name and {setting.name for setting in fields(made)} <= told.keys()
    json.dumps(told)
    defaults = {setting.name: setting.default for setting in fields(made)}
    assert recipe(name, **defaults) == made, "its own defaults are values it takes"


@pytest.mark.parametrize("name", [name for name in recipe_names() if name not in catalogue.RUNS_OF_THEIR_OWN])
def test_every_recipe_that_a_run_takes_says_when_it_fails_and_what_to_do_with_copies(name):
    made = recipe(name)
    assert isinstance(made, Recipe) and made.describe()["duplicates"] == "drop"
    (limit,) = limits_of(made)
    assert limit.startswith("When it fails: ") and "\n" not in limit


@pytest.mark.parametrize(
    ("name", "choices", "words"),
    [
        ("perplexity", {"alpha": 1}, "no choice 'alpha': it has keep, window, group, duplicates"),
        ("visnec", {"clusters": "many"}, "clusters of visnec is float, not 'many'"),
        ("perplexity", {"window": [0.1, "x"]}, "window of perplexity is"),
        ("perplexity", {"group": 3}, "group of perplexity is"),
        ("typiclust", {"neighbours": True}, "neighbours of typiclust is int, not True"),
        ("perplexity", {"keep": "best"}, "keep of perplexity is"),
    ],
)
def test_choices_that_a_recipe_lacks_or_cant_have_are_refused(name, choices, words):
    with pytest.raises(UsageError) as caught:
        recipe(name, **choices)
    assert words in str(caught.value)


def test_an_unknown_recipe_suggests_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'perplexity'"):
        recipe("perplexty")


def test_yaml_values_are_taken():
    assert recipe("perplexity", window=[0.25, 0.75]).window == (0.25, 0.75)
    assert recipe("ifd", limit=None).limit is None
    assert recipe("visnec", clusters=5).clusters == 5


def test_results_are_read_or_absent_or_damaged(tmp_path):
    file = tmp_path / "measured.json"
    assert measured(file) == {}
    one = {"diff": 0.5, "low": -0.25, "high": 1.25, "budget": 0.15}
    file.write_text(json.dumps({"recipes": {"ifd": {"dirty": one}}, "source": "benchmarks/study/results/RESULTS.json"}))
    found = measured(file)["ifd"]["dirty"]
    assert found == Measured(0.5, -0.25, 1.25, 0.15)
    assert found.render() == "+0.50 points to random (-0.25 to +1.25) at 15%"
    for text in ("{", "[]", json.dumps({"recipes": {"ifd": {"dirty": {"diff": 1}}}})):
        file.write_text(text)
        with pytest.raises(HFSelectError, match="measured.json"):
            measured(file)


def test_the_results_that_come_with_the_package_are_of_its_recipes():
    assert set(measured()) <= set(recipe_names())
