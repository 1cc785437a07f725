"""Holds a JSON value strictly against a type of the SDK: nothing missing, nothing extra, every type exact.

The SDK itself tolerates unknown fields and wrong types; a server that leans on that would break other clients.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import re
import sys
import types
import typing
from datetime import date, datetime
from typing import Any, Literal, Union, get_args, get_origin

import typing_extensions
from anthropic._models import BaseModel, UnionDiscriminator

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
#: Fields that were recorded on the wire although the SDK's model lacks them, or that hold a value of null only.
KNOWN_EXTRAS: dict[str, set[str]] = {"BetaSelfHostedWork": {"actor"}}
#: Models are described by their provider, whose times have no fraction.
PROVIDERS_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
PROVIDERS = {"BetaModelInfo"}
#: Recorded: a value or absent, never null.
NEVER_NULL = {"session_thread_id"}


@functools.cache
def named(name: str) -> Any:
    """The SDK's class or union of that name, from its beta types or else from the others."""
    for root in ("anthropic.types.beta", "anthropic.types"):
        package = importlib.import_module(root)
        for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            module = importlib.import_module(info.name)
            if name in getattr(module, "__all__", []):
                return getattr(module, name)
    raise LookupError(f"the SDK has no type {name}")


@functools.cache
def hints(model: type[BaseModel]) -> dict[str, Any]:
    """The fields' types, read class by class: the base models name things that only a type checker sees."""
    found: dict[str, Any] = {}
    for base in reversed(model.__mro__):
        if base is BaseModel or not base.__module__.startswith("anthropic.types"):
            continue
        for name, hint in vars(base).get("__annotations__", {}).items():
            found[name] = eval(hint, dict(vars(sys.modules[base.__module__]))) if isinstance(hint, str) else hint  # noqa: S307
    return found


def problems(value: Any, expected: Any, where: str = "$") -> list[str]:
    """Every way in which `value` is not what the type says; empty when it is."""
    origin = get_origin(expected)
    if origin in (typing.Annotated, typing_extensions.Annotated):
        inner, *notes = get_args(expected)
        marks = [note.field_name for note in notes if isinstance(note, UnionDiscriminator)]
        return _tagged(value, inner, marks[0], where) if marks else problems(value, inner, where)
    if origin in (Union, types.UnionType):
        return _any_of(value, list(get_args(expected)), where)
    if origin in (Literal, typing_extensions.Literal):
        return [] if value in get_args(expected) else [f"{where}: {value!r} is not one of {get_args(expected)}"]
    if origin is list:
        if not isinstance(value, list):
            return [f"{where}: {_kind(value)} instead of a list"]
        return [p for i, element in enumerate(value) for p in problems(element, get_args(expected)[0], f"{where}[{i}]")]
    if origin is dict:
        if not isinstance(value, dict):
            return [f"{where}: {_kind(value)} instead of an object"]
        return [p for key, element in value.items() for p in problems(element, get_args(expected)[1], f"{where}.{key}")]
    if expected in (Any, object) or isinstance(expected, typing.TypeVar):
        return []
    if inspect.isclass(expected) and issubclass(expected, BaseModel):
        return _model(value, expected, where)
    return _scalar(value, expected, where)


def _scalar(value: Any, expected: Any, where: str) -> list[str]:
    if expected is type(None):
        return [] if value is None else [f"{where}: {_kind(value)} instead of null"]
    if expected is datetime:
        return [] if isinstance(value, str) and TIME.fullmatch(value) else [f"{where}: {value!r} is not a UTC time with microseconds and Z"]
    if expected is date:
        return [] if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value) else [f"{where}: {value!r} is not a date"]
    if expected is float:
        return [] if type(value) in (int, float) else [f"{where}: {_kind(value)} instead of a number"]
    if expected in (str, int, bool):
        return [] if type(value) is expected else [f"{where}: {_kind(value)} instead of {expected.__name__}"]
    return [f"{where}: this check does not know the type {expected!r}"]


def _model(value: Any, model: type[BaseModel], where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where}: {_kind(value)} instead of {model.__name__}"]
    found: list[str] = []
    known: set[str] = set()
    for name, field in model.model_fields.items():
        key = field.alias or name
        known.add(key)
        if key not in value:
            if field.is_required():
                found.append(f"{where}.{key}: missing ({model.__name__})")
        elif value[key] is None and key in NEVER_NULL:
            found.append(f"{where}.{key}: null instead of absent")
        else:
            found += [p for p in problems(value[key], hints(model)[name], f"{where}.{key}") if not _is_providers_time(model, value[key])]
    for key in value.keys() - known - KNOWN_EXTRAS.get(model.__name__, set()):
        found.append(f"{where}.{key}: unknown field of {model.__name__}")
    return found


def _is_providers_time(model: type[BaseModel], value: Any) -> bool:
    return model.__name__ in PROVIDERS and isinstance(value, str) and PROVIDERS_TIME.fullmatch(value) is not None


def _any_of(value: Any, members: list[Any], where: str) -> list[str]:
    if value is None and type(None) in members:
        return []
    members = [m for m in members if m is not type(None)]
    if isinstance(value, dict) and isinstance(value.get("type"), str):
        tagged = [m for m in members if value["type"] in tags(m, "type")]
        members = tagged or members
    attempts = [problems(value, member, where) for member in members]
    return min(attempts, key=len)


def _tagged(value: Any, union: Any, mark: str, where: str) -> list[str]:
    members = [m for m in get_args(union)]
    if value is None and type(None) in members:
        return []
    if not isinstance(value, dict) or mark not in value:
        return [f"{where}: no {mark!r} to tell the kind by"]
    for member in members:
        if value[mark] in tags(member, mark):
            return problems(value, member, where)
    return [f"{where}.{mark}: {value[mark]!r} is not known"]


def tags(member: Any, mark: str) -> tuple[Any, ...]:
    """The literals that a member's discriminating field may hold."""
    while get_origin(member) in (typing.Annotated, typing_extensions.Annotated):
        member = get_args(member)[0]
    if get_origin(member) in (Union, types.UnionType):
        return tuple(t for m in get_args(member) for t in tags(m, mark))
    if not (inspect.isclass(member) and issubclass(member, BaseModel)):
        return ()
    hint = hints(member).get(mark)
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(h for h in get_args(hint) if h is not type(None))
    return get_args(hint) if get_origin(hint) in (Literal, typing_extensions.Literal) else ()


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a string", type(None): "null"}.get(type(value), f"{value!r}")
