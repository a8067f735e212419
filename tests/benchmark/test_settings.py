"""One declaration for each option: what is typed, read, filled in by presets and refused."""

from dataclasses import fields, replace

import click
import pytest

from ood_toolkit.benchmark.option import option_of
from ood_toolkit.benchmark.settings import RECIPES, Settings, options
from ood_toolkit.cli import options as cli_options
from ood_toolkit.cli.bench import command
from ood_toolkit.errors import DataError, UsageError

pytestmark = pytest.mark.quick


def test_every_option_of_a_run_is_an_option_of_bench():
    typed = {part.name: part.opts for part in command.params if isinstance(part, click.Option)}
    assert {name: typed[name] for name in options()} == {name: [made.flag] for name, made in options().items()}
    assert set(typed) - set(options()) == {
        "preset", "style", "output", "on", "dry_run", "seeds", "sort", "html", "gallery",
    }  # fmt: skip


def test_what_is_no_option_is_derived_from_scorers():
    assert {one.name for one in fields(Settings) if option_of(one) is None} == {"wished", "views", "local"}


def test_the_header_tells_what_is_declared_for_it():
    assert Settings(seed=3, limit=9, val_split=0.5).told == {"val_split": 0.5, "seed": 3, "limit": 9}


def test_nothing_typed_gives_the_defaults():
    made = command.make_context("bench", []).params
    typed = {name: value for name, value in made.items() if name in options()}
    assert cli_options.settings_of(**typed) == Settings()


def test_texts_are_read_by_the_reader_of_the_field(tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("house\nsea\n")
    made = Settings.read(
        ids=(" a", "a", "b"), groups=("near=x,y", "z", "near=y,w"), csid=("c,d", "d"), tune=("t, u",),
        texts=(f"no={words}",), negatives=str(words), prompts=("a {}", "simple"),
    )  # fmt: skip
    assert made.ids == ("a", "b")
    assert made.groups == {"near": ("x", "y", "w"), "": ("z",)}
    assert made.ood == ("x", "y", "w", "z")
    assert (made.csid, made.tune) == (("c", "d"), ("t", "u"))
    assert (made.texts, made.negatives) == ({"no": str(words)}, str(words))
    assert made.prompts == ("a {}", "a photo of a {}.")


@pytest.mark.parametrize(
    ("typed", "error", "part"),
    [
        ({"groups": ("=a",)}, UsageError, "--ood: expected GROUP=A,B, got '=a'"),
        ({"texts": ("bank",)}, UsageError, "--texts: expected BANK=FILE"),
        ({"texts": ("no=nowhere.txt",)}, DataError, "--texts: no such file: nowhere.txt"),
        ({"negatives": "nowhere.txt"}, DataError, "--negatives: expected wordnet or a file"),
        ({"prompts": ("nothing",)}, DataError, "--prompts: expected a template with {}"),
        ({"prompts": ("{} and {}",)}, DataError, "--prompts: expected {} once"),
        ({"tune": (",",)}, DataError, "--tune: expected names of OOD validation sets"),
    ],
)
def test_what_cannot_be_read_names_its_option(typed, error, part):
    with pytest.raises(error) as raised:
        Settings.read(**typed)
    assert part in str(raised.value)


def test_embedded_sets_stand_where_no_id_set_is_named():
    assert Settings().with_default_sets().ood == ("letters", "patches")
    assert Settings(groups={"": ("x",)}).with_default_sets().ids == ("digits",)
    named = Settings(ids=("a",))
    assert named.with_default_sets() is named


def test_scores_are_averaged_over_heads_of_the_first_recipe():
    assert Settings(recipe=RECIPES[2]).text_recipe == RECIPES[0]
    assert Settings(recipe=RECIPES[1]).text_recipe == RECIPES[1]


def test_each_model_has_its_part():
    parts = list(Settings(models=("a", "b"), seed=3).each_model())
    assert [(part.model, part.seed) for part in parts] == [("a", 3), ("b", 3)]
    assert [part.model for part in replace(parts[0], models=()).each_model()] == [None]
