"""Completion of the command line in bash, zsh and fish: scripts made from its parsers."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

SHELLS = ("bash", "zsh", "fish")
_FILES = ("put", "serve")  # commands whose arguments are files
_NAMES = "remote-arrow --timeout 2 ls --format names 2>/dev/null"

_BASH = """\
_remote_arrow() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} command= word words
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case $word in {commands_or}) command=$word; break ;; esac
    done
    case $command in
        "") words="{commands}" ;;
{options}
    esac
    if [[ -z $command || $current == -* ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$current"))
    elif [[ " {files} " != *" $command "* ]]; then
        local IFS=$'\\n'
        COMPREPLY=($(compgen -W "$({names})" -- "$current"))
    fi
}}
complete -o default -F _remote_arrow remote-arrow
"""

_ZSH = """\
#compdef remote-arrow
_remote_arrow() {{
    local command= word
    local -a options
    for word in ${{words[2,CURRENT-1]}}; do
        case $word in ({commands_or}) command=$word; break ;; esac
    done
    case $command in
        "") compadd -- {commands}; return ;;
{options}
    esac
    if [[ $PREFIX == -* ]]; then
        compadd -- $options
    elif [[ " {files} " == *" $command "* ]]; then
        _files
    else
        compadd -- ${{(f)"$({names})"}}
    fi
}}
if [[ $funcstack[1] == _remote_arrow ]]; then
    _remote_arrow "$@"
else
    compdef _remote_arrow remote-arrow
fi
"""


def script(shell: str, commands: Mapping[str, argparse.ArgumentParser]) -> str:
    """What the shell is to read, for commands by name."""
    options = {name: _options(parser) for name, parser in commands.items()}
    if shell == "fish":
        return _fish(commands, options)
    template, assigned = (_BASH, 'words="{}"') if shell == "bash" else (_ZSH, "options=({})")
    line = f"        {{}}) {assigned} ;;"
    return template.format(
        commands_or="|".join(commands),
        commands=" ".join(commands),
        options="\n".join(line.format(name, " ".join(words)) for name, words in options.items()),
        files=" ".join(_FILES),
        names=_NAMES,
    )


def _options(parser: argparse.ArgumentParser) -> list[str]:
    return [word for word in parser._option_string_actions if word.startswith("--")]


def _fish(
    commands: Mapping[str, argparse.ArgumentParser], options: Mapping[str, list[str]]
) -> str:
    lines = ["complete -c remote-arrow -e"]
    for name, parser in commands.items():
        first = f"complete -c remote-arrow -n __fish_use_subcommand -f -a {name}"
        lines.append(f"{first} -d '{parser.description}'")
        seen = f"complete -c remote-arrow -n '__fish_seen_subcommand_from {name}'"
        lines += [f"{seen} -l {option.removeprefix('--')}" for option in options[name]]
        if name not in _FILES:
            lines.append(f"{seen} -f -a '({_NAMES})'")
    return "\n".join(lines) + "\n"
