"""What the API reference says of each public function and method: what it takes, what it gives, what it raises."""

import ast
import inspect
import re
import textwrap
import types
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import import_module
from itertools import pairwise

import pytest
from reference import find, public_names

from ood_toolkit.errors import OodkitError

FORWARDED = {"ood_toolkit.hookimpl"}
"""What another package wrote."""
DEPTH = 1
"""How many calls deep errors are looked for: in the function itself, and in those of the package that it calls."""


def constructor(cls):
    """Give what a class runs when it is made, unless that was written by `dataclass`."""
    own = vars(cls)
    return own.get("__post_init__") or (None if "__dataclass_fields__" in own else own.get("__init__"))


def callables():
    """List public functions, classes and their public methods: name, function, class, docstring with the class's."""
    for name in public_names():
        thing = find(name)
        if inspect.isclass(thing) and not issubclass(thing, BaseException):
            made = constructor(thing)
            yield name, made, thing, f"{inspect.getdoc(thing)} {inspect.getdoc(made) or ''}"
            for key, value in vars(thing).items():
                method = getattr(value, "__func__", value)
                if not key.startswith("_") and inspect.isfunction(method):
                    yield f"{name}.{key}", method, thing, inspect.getdoc(method) or ""
        elif inspect.isfunction(thing) and name not in FORWARDED:
            yield name, thing, None, inspect.getdoc(thing) or ""


CALLABLES = {name: rest for name, *rest in callables()}
FUNCTIONS = [name for name, (function, _, _) in CALLABLES.items() if inspect.isfunction(function)]


@cache
def tree(function):
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


def names_of(function, owner):
    """Give what names stand for in a function: globals, what it imports itself, and its class."""
    known = {**function.__globals__, "self": owner, "cls": owner}
    for node in ast.walk(tree(function)):
        if isinstance(node, ast.ImportFrom):
            module = import_module(node.module)
            known |= {alias.asname or alias.name: getattr(module, alias.name, None) for alias in node.names}
    return known


def meant(node, known):
    if isinstance(node, ast.Call):
        return meant(node.func, known)
    if isinstance(node, ast.Name):
        return known.get(node.id)
    return getattr(meant(node.value, known), node.attr, None) if isinstance(node, ast.Attribute) else None


def raised(function, owner=None, depth=DEPTH):
    """Give the errors of this package that a function raises, or one that it calls, and does not catch."""
    return _raised(tree(function).body, names_of(function, owner), owner, depth)


def _raised(nodes, known, owner, depth):
    found = set()
    for node in nodes:
        if isinstance(node, ast.Try):
            found |= _uncaught(node, known, owner, depth)
            continue
        if isinstance(node, ast.Raise) and inspect.isclass(kind := meant(node.exc, known)):
            found |= {kind} if issubclass(kind, OodkitError) else set()
        if isinstance(node, ast.Call) and depth:
            found |= _of_call(node, known, owner, depth)
        found |= _raised(ast.iter_child_nodes(node), known, owner, depth)
    return found


def _uncaught(node, known, owner, depth):
    """Give what comes out of a `try`; a handler that only raises again catches nothing."""
    inner, found = _raised(node.body, known, owner, depth), set()
    for handler in node.handlers:
        parts = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        kinds = tuple(kind for kind in (meant(part, known) for part in parts) if inspect.isclass(kind))
        caught = {error for error in inner if issubclass(error, kinds)}
        if any(isinstance(one, ast.Raise) and one.exc is None for one in handler.body):
            found |= caught
        inner -= caught
        found |= _raised(handler.body, known, owner, depth)
    return found | inner | _raised([*node.orelse, *node.finalbody], known, owner, depth)


def _of_call(node, known, owner, depth):
    called = meant(node.func, known)
    if called is owner and owner is not None:
        called = constructor(owner)
    called = getattr(called, "__func__", called)
    if not isinstance(called, types.FunctionType) or not called.__module__.startswith("ood_toolkit"):
        return set()
    return raised(called, owner if meant(getattr(node.func, "value", None), known) is owner else None, depth - 1)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_raised_is_said(name):
    function, owner, said = CALLABLES[name]
    assert sorted(error.__name__ for error in raised(function, owner) if error.__name__ not in said) == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_taken_is_said(name):
    function, _, said = CALLABLES[name]
    taken = [key for key in inspect.signature(function).parameters if key not in ("self", "cls")]
    assert [key for key in taken if not re.search(rf"\b{key}\b", said)] == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_given_has_a_type(name):
    function, _, said = CALLABLES[name]
    assert len(said) > 10
    assert "return" in function.__annotations__


def test_errors_are_found_through_calls_and_not_where_they_are_caught():
    def found(name):
        return {error.__name__ for error in raised(*CALLABLES[name][:2])}

    assert found("ood_toolkit.Head.bank") == {"OutputsError"}  # its own
    assert found("ood_toolkit.metrics.auroc_interval") >= {"MetricError"}  # of what it calls
    assert found("ood_toolkit.Gate.prepare") == {"DetectorError"}  # a DataError becomes a reason


def told_fields(cls):
    """Name the fields of a class, and of what it derives from, that have a text under them."""
    for base in cls.__mro__[:-1]:
        body = tree(base).body[0].body
        for field, under in pairwise(body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(under, ast.Expr)
                and isinstance(under.value, ast.Constant)
            ):
                yield field.target.id


@pytest.mark.parametrize("name", [name for name in public_names() if is_dataclass(find(name))])
def test_every_field_says_what_it_is(name):
    told = set(told_fields(find(name)))
    assert [field.name for field in fields(find(name)) if field.init and field.name not in told] == []
