"""One word, one thing: terms are found where the glossary says, and banned words are not used."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.glossary import (
    Banned,
    banned_in_name,
    banned_in_prose,
    banned_names,
    banned_of,
    missing_place,
    rows,
    terms_of,
)
from tests.architecture.names import (
    contains,
    definitions,
    is_found_by,
    python_files,
    searchable_names,
    stem,
    symbols,
    words_of,
)
from tests.architecture.passages import ROOT, collect
from tests.architecture.prose import sentences

GLOSSARY = (ROOT / "infra" / "docs" / "glossary.md").read_text()
TERMS = terms_of(GLOSSARY)
BANNED = banned_of(GLOSSARY)

ALLOWED_NAMES = {
    "next_lapse_at": "UCP message field and field of the live view",
    "lapsed": "field of the operators' audit",
    "lapsed_at_risk": "field of the operators' audit",
    "goods": "field of a refund's lines",
    "goods_amount": "key of build/rehearsal.json",
    "goods_amount_exported": "key of build/rehearsal.json",
    "goods_amount_ordered": "key of build/rehearsal.json",
}
"""Names of the wire that contain a banned word, and where callers see them."""

STANDARD_TERMS = """
    expiry reservation restock transition three_d_secure fraud velocity cache price_history dispute
    idempotency refund capture authorise void webhook gateway sandbox order_status order_hold
    ledger reconcile audit repair recover purchase_limit discount budget market tax
    shipping currency checkout cart order pricing consolidate pointer fence epoch
    tombstone export manifest revision relay compare_and_set bucket hold commit_stock authentication
    operator health fee business_day fingerprint step_up live_view country stock_adjustment signature
""".split()  # noqa: SIM905
"""Words that an engineer of shops, payments or AWS types into a search. Each feature exists."""

UNKNOWN_TERMS = ["warehouse", "loyalty_points", "subscription", "invoice", "backorder", "hold_order_status"]
"""Words for features that do not exist."""


@pytest.mark.parametrize("place", [place for term in TERMS for place in term.places])
def test_a_term_of_the_glossary_is_defined_where_it_says(place: str) -> None:
    assert missing_place(place, ROOT) is None


def test_the_glossary_names_each_term_once_and_a_place_for_each() -> None:
    names = [term.name for term in TERMS]
    assert len(names) >= 50
    assert len(set(names)) == len(names)
    assert [term.name for term in TERMS if not term.places or not term.meaning] == []


@pytest.mark.parametrize("term", STANDARD_TERMS)
def test_a_standard_term_finds_a_module_class_or_function(term: str) -> None:
    assert is_found_by(term, searchable_names(ROOT / "chalicelib"))


def test_a_search_for_a_feature_that_does_not_exist_finds_nothing() -> None:
    assert len(STANDARD_TERMS) == len(set(STANDARD_TERMS)) == 60
    assert [term for term in UNKNOWN_TERMS if is_found_by(term, searchable_names(ROOT / "chalicelib"))] == []


def test_no_banned_word_is_in_a_name() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name} ({', '.join(words)})"
        for path in python_files(ROOT)
        for line, name, words in banned_names(path.read_text(), path.stem, BANNED, ALLOWED_NAMES)
    ]
    assert found == []


def test_each_allowed_name_is_in_use_and_contains_a_banned_word() -> None:
    used = {name for path in python_files(ROOT) for _, name in definitions(path.read_text())}
    assert [name for name in ALLOWED_NAMES if name not in used or not banned_in_name(name, BANNED)] == []


def test_no_banned_word_is_in_prose() -> None:
    found = [
        f"{sentence} ({', '.join(words)})"
        for sentence in sentences(collect(ROOT))
        if (words := banned_in_prose(sentence.text, BANNED))
    ]
    assert found == []


def test_a_term_with_a_wrong_place_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "stock.py").write_text("LIMIT: int = 3\n\nclass Hold:\n    quantity: int\n\n    def end(self): ...\n")
    good = ["stock.py", "stock.py:LIMIT", "stock.py:Hold", "stock.py:Hold.quantity", "stock.py:Hold.end"]
    assert [missing_place(place, tmp_path) for place in good] == [None] * 5
    assert missing_place("stock.py:Hold.begin", tmp_path) == "stock.py does not define Hold.begin"
    assert missing_place("stock.py:end", tmp_path) == "stock.py does not define end"
    assert missing_place("holds.py:Hold", tmp_path) == "holds.py does not exist"
    assert missing_place("a hold", tmp_path) == "a hold is neither a file nor a symbol"


def test_tables_of_a_glossary_are_read_by_their_columns() -> None:
    source = "| term | meaning | where |\n|---|---|---|\n| hold | Units | `a.py`, `b.py:C` |\n\n"
    source += "| banned | use instead | banned in |\n|---|---|---|\n| `wish`, `MOST_` | `x` | names |\n"
    assert [(term.name, term.places) for term in terms_of(source)] == [("hold", ("a.py", "b.py:C"))]
    assert banned_of(source) == [Banned("wish", "`x`", True, False), Banned("MOST_", "`x`", True, False)]
    assert rows(source, "other") == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("PutShowWish", ["wish"]),
        ("_gives_units_back", ["units_back"]),
        ("MOST_LINES", ["MOST_"]),
        ("MOST", ["MOST_"]),
        ("unitsBack2", ["units_back"]),
        ("_MOST_BYTES", ["MOST_"]),
        ("most_units", []),
        ("wishful", []),
        ("UTMOST_BYTES", []),
        ("back_units", []),
    ],
)
def test_a_banned_word_in_a_name_is_noticed(name: str, words: list[str]) -> None:
    banned = [Banned(word, "", True, False) for word in ("wish", "units_back", "MOST_")]
    assert banned_in_name(name, banned) == words


def test_every_kind_of_name_is_searched_and_allowed_names_are_left_out() -> None:
    source = """
import os as wish_module

class Wish:
    wish_field: int = 0

def test_a_wish(): ...

def wish_function(wish_parameter, *wish_more, **wish_named):
    self.wish_attribute = [wish_each for wish_each in wish_read_only]
    with x as wish_file: ...
    with x as wish_context:
        try: ...
        except E as wish_error: ...
    match x:
        case [wish_match, *wish_star]: ...
"""
    banned = [Banned("wish", "", True, False)]
    found = {name for _, name, _ in banned_names(source, "wishes", banned, {"wish_file"})}
    kinds = "module field function parameter more named attribute each context error match star"
    assert found == {"Wish"} | {f"wish_{kind}" for kind in kinds.split()}
    assert [name for _, name, _ in banned_names("", "test_wish", banned)] == ["test_wish"]


def test_a_banned_word_in_prose_is_noticed_as_a_whole_word() -> None:
    banned = [Banned("desk", "", True, True), Banned("met", "", True, False)]
    assert banned_in_prose("Ask the Desk.", banned) == ["desk"]
    assert banned_in_prose("The desktop has met it.", banned) == []


def test_names_are_split_into_words_and_found_whatever_their_endings() -> None:
    assert words_of("_HTTPAnswer2_for-you") == ("http", "answer", "2", "for", "you")
    assert contains("put_on_hold", ("on", "hold"))
    assert not contains("put_on_hold", ("put", "hold"))
    assert {stem(word) for word in ("expiry", "expired", "expires", "expire", "expiration")} == {"expir"}
    assert stem("tax") == "tax"
    assert is_found_by("order_hold", {"OrderHolds"})
    assert not is_found_by("order_hold", {"hold_order", "orders"})
    assert not is_found_by("cart", {"cartesian"})
    assert "If.member" not in symbols("if x:\n    member = 1\n")
    assert symbols("if x:\n    member = 1\n") == {"member"}
