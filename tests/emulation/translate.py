#!/usr/bin/env python3
"""Rewrites CUDA sources so that a C++ compiler takes them: kernel launches become calls of
emulation::launch(), and __shared__ variables references into memory of the block that runs.

usage: translate.py SOURCE_ROOT OUTPUT_ROOT FILE...     (files relative to SOURCE_ROOT)
"""
import pathlib
import re
import sys


def matching(text, start, opening, closing):
    """Index just after the bracket that closes the one at `start`."""
    depth = 0
    for index in range(start, len(text)):
        if text[index] == opening:
            depth += 1
        elif text[index] == closing:
            depth -= 1
            if depth == 0:
                return index + 1
    raise ValueError("unbalanced " + opening)


def callee_start(text, end):
    """Where the kernel's name, template arguments included, begins."""
    at = end
    while text[at - 1].isspace():
        at -= 1
    if text[at - 1] == ">":
        depth = 0
        while True:
            at -= 1
            depth += (text[at] == ">") - (text[at] == "<")
            if depth == 0:
                break
    while True:
        while re.match(r"[\w:]", text[at - 1]):
            at -= 1
        before = text[:at].rstrip()
        if not before.endswith("::"):  # a qualified name may be broken after its ::
            return at
        at = len(before)


def translate_launches(text):
    while (launch := text.find("<<<")) >= 0:
        begin = callee_start(text, launch)
        configuration_end = text.index(">>>", launch)
        arguments = text.index("(", configuration_end)
        end = matching(text, arguments, "(", ")")
        callee = text[begin:launch].strip()
        text = (
            text[:begin]
            + "::emulation::launch([&] { "
            + callee
            + text[arguments:end]
            + "; }, "
            + text[launch + 3 : configuration_end]
            + ")"
            + text[end:]
        )
    return text


def translate(text):
    text = translate_launches(text)
    text = re.sub(
        r"extern\s+__shared__\s+(.*?)\s+(\w+)\[\];",
        r"auto* \2 = static_cast<\1*>(::emulation::dynamic_shared());",
        text,
    )
    return re.sub(
        r"__shared__\s+([^;\[]+?)\s+(\w+)((?:\[[^;]*\])*);",
        r"struct Shared_\2 { \1 value\3; }; "
        r"auto& \2 = ::emulation::block_variable<Shared_\2>().value;",
        text,
    )


def main():
    source, output, *files = sys.argv[1:]
    for name in files:
        text = translate(pathlib.Path(source, name).read_text())
        target = pathlib.Path(output, name + (".cpp" if name.endswith(".cu") else ""))
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_text() != text:
            target.write_text(text)


if __name__ == "__main__":
    main()
