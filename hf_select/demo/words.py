"""The words of the drawn world: small closed lists, so that a model of two million parameters can know them all."""

from __future__ import annotations

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (214, 39, 40),
    "green": (44, 160, 44),
    "blue": (31, 90, 200),
    "yellow": (240, 205, 20),
    "purple": (130, 60, 170),
    "orange": (255, 127, 14),
    "black": (25, 25, 25),
    "pink": (245, 130, 190),
}
SHAPES = ("circle", "square", "triangle", "star", "diamond", "cross")
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven")

ITEMS = ("milk", "bread", "eggs", "tea", "rice", "soap", "apples", "cheese")
ITEMS += ("coffee", "sugar", "salt", "juice", "pasta", "honey", "butter", "water")
SHOPS = ("oak", "river", "hill", "north", "east", "sun", "moon", "lake")
NAMES = ("anna", "ben", "carla", "david", "ella", "frank", "grace", "hugo", "irene", "jack", "kate", "leo")
CITIES = ("rome", "paris", "oslo", "lima", "cairo", "delhi", "tokyo", "york", "bonn", "kiev", "lyon", "nice")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
FORMS = ("letter", "ticket", "invoice", "order")
FIELDS = ("name", "city", "date", "room", "code")

PRINTED = (*ITEMS, *SHOPS, *NAMES, *CITIES, *MONTHS, *FORMS, *FIELDS, "shop", "total")
"""Every word that may stand inside a picture."""

CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
"""Every character that may stand inside a picture, besides the blank."""
