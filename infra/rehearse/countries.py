"""Names of countries in the source, and their ISO 3166-1 alpha-2 codes."""

from __future__ import annotations

import re
from typing import Final

DEFAULT_COUNTRY: Final = "GB"
"""The shop's country. Used for *Unspecified*, an empty cell, and a name that is not listed."""

_CODES: Final = {
    "australia": "AU",
    "austria": "AT",
    "bahrain": "BH",
    "belgium": "BE",
    "brazil": "BR",
    "canada": "CA",
    "channel islands": "JE",
    "cyprus": "CY",
    "czech republic": "CZ",
    "denmark": "DK",
    "eire": "IE",
    "european community": "BE",
    "finland": "FI",
    "france": "FR",
    "germany": "DE",
    "greece": "GR",
    "hong kong": "HK",
    "iceland": "IS",
    "israel": "IL",
    "italy": "IT",
    "japan": "JP",
    "lebanon": "LB",
    "lithuania": "LT",
    "malta": "MT",
    "netherlands": "NL",
    "norway": "NO",
    "poland": "PL",
    "portugal": "PT",
    "rsa": "ZA",
    "saudi arabia": "SA",
    "singapore": "SG",
    "spain": "ES",
    "sweden": "SE",
    "switzerland": "CH",
    "united arab emirates": "AE",
    "united kingdom": "GB",
    "usa": "US",
}
_CODE: Final = re.compile(r"[A-Z]{2}")


def code_of(country: str) -> str:
    """Return a country's code. It decides tax and shipping only, so an unknown country does not refuse a row."""
    return country if _CODE.fullmatch(country) else _CODES.get(country.casefold(), DEFAULT_COUNTRY)
