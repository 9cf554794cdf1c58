#!/usr/bin/env python3
"""Makes an SVG picture of a terminal screen: tmux capture-pane -e -N -p | docs/screen-svg.py > docs/explorer.svg

The text comes with its escape sequences for color, as tmux prints them. Only what the explorer uses is read: bold, dim,
reverse, the 8 and 256 colors of text and background."""

import re
import sys
import unicodedata
from html import escape

CELL, LINE, SIZE = 8.4, 17, 14
TEXT, BACK = "#d8dee9", "#1b1e24"
EIGHT = ["#3b4252", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#eceff4"]


def color(number):
    if number < 16:
        return EIGHT[number % 8]
    if number >= 232:
        grey = 8 + 10 * (number - 232)
        return f"#{grey:02x}{grey:02x}{grey:02x}"
    number -= 16
    level = [0, 95, 135, 175, 215, 255]
    return "#%02x%02x%02x" % (level[number // 36], level[number // 6 % 6], level[number % 6])


def read_codes(codes, style):
    codes = [int(code or 0) for code in codes.split(";")]
    while codes:
        code = codes.pop(0)
        if code == 0:
            style = {}
        elif code in (1, 2, 7):
            style = style | {{1: "bold", 2: "dim", 7: "reverse"}[code]: True}
        elif code in (38, 48) and codes[:1] == [5]:
            style = style | {"fg" if code == 38 else "bg": color(codes[1])}
            codes = codes[2:]
        elif 30 <= code <= 37 or 40 <= code <= 47:
            style = style | {"fg" if code < 40 else "bg": color(code % 10)}
        elif code in (39, 49):
            style = {key: value for key, value in style.items() if key != ("fg" if code == 39 else "bg")}
        elif code == 22:
            style = {key: value for key, value in style.items() if key not in ("bold", "dim")}
        elif code == 27:
            style = {key: value for key, value in style.items() if key != "reverse"}
    return style


def pieces(line, style):
    found = []
    for part in re.split(r"(\x1b\[[0-9;]*m|\x0e|\x0f)", line):
        if part.startswith("\x1b["):
            style = read_codes(part[2:-1], style)
        elif part and part[0] not in "\x0e\x0f":
            found.append((part, style))
    return found, style


def width(text):
    return sum(2 if unicodedata.east_asian_width(it) in "WF" else 1 for it in text)


lines = sys.stdin.read().rstrip("\n").split("\n")
boxes, texts, style, columns = [], [], {}, 0
for row, line in enumerate(lines):
    column = 0
    found, style = pieces(line, style)
    for text, look in found:
        fg, bg = look.get("fg", TEXT), look.get("bg")
        if look.get("reverse"):
            fg, bg = BACK, fg
        x, y = 10 + column * CELL, 10 + row * LINE
        if bg:
            boxes.append(f'<rect x="{x:.1f}" y="{y}" width="{width(text) * CELL:.1f}" height="{LINE}" fill="{bg}"/>')
        # Blanks are not drawn: a browser may join them.
        for word in re.finditer(r"\S+(?: \S+)*", text):
            more = ' font-weight="bold"' if look.get("bold") else ""
            more += ' opacity="0.6"' if look.get("dim") else ""
            at, part = x + width(text[: word.start()]) * CELL, word.group()
            span = f'textLength="{width(part) * CELL:.1f}" lengthAdjust="spacingAndGlyphs"'
            texts.append(f'<text x="{at:.1f}" y="{y + 13}" fill="{fg}" {span}{more}>{escape(part)}</text>')
        column += width(text)
    columns = max(columns, column)

full = (20 + columns * CELL, 20 + len(lines) * LINE)
print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {full[0]:.0f} {full[1]}" font-size="{SIZE}" '
      'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" xml:space="preserve">')
print(f'<rect width="100%" height="100%" rx="8" fill="{BACK}"/>')
print("\n".join(boxes + texts))
print("</svg>")
