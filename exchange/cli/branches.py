"""The words of the command line, each with a command that is built when somebody asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command_name, get_group
from typer.models import CommandInfo, TyperInfo


class Branches(Mapping[str, Any]):
    """Every command and group of a tree by the word that calls it; once built, it is kept.

    Building all of them takes longer than most commands run.
    """

    def __init__(self, tree: typer.Typer) -> None:
        self._tree = tree
        self._built: dict[str, Any] = {}
        self._told: dict[str, CommandInfo | TyperInfo] = {}
        for command in tree.registered_commands:
            assert command.callback is not None, "a command does something"
            self._told[command.name or get_command_name(command.callback.__name__)] = command
        for group in tree.registered_groups:
            assert isinstance(group.name, str), "a group is called by a name"
            self._told[group.name] = group

    def __getitem__(self, word: str) -> Any:
        told = self._told[word]
        if word not in self._built:
            alone = typer.Typer(rich_markup_mode=self._tree.rich_markup_mode)
            if isinstance(told, CommandInfo):
                alone.registered_commands.append(told)
            else:
                alone.registered_groups.append(told)
            self._built[word] = get_group(alone).commands[word]
        return self._built[word]

    def __iter__(self) -> Iterator[str]:
        return iter(self._told)

    def __len__(self) -> int:
        return len(self._told)


def root(tree: typer.Typer) -> type[TyperGroup]:
    """The group whose commands are the branches of a tree."""
    branches = Branches(tree)

    class Root(TyperGroup):
        def __init__(self, **told: Any) -> None:
            super().__init__(**told)
            self.commands = branches  # type: ignore[assignment]  # nobody adds to it

    return Root
