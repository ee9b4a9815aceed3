"""The names and words by which people mean a licence, beside its SPDX identifier."""

from __future__ import annotations

import re

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

# Names after _key() took out case, punctuation, "the", "license" and "version".
_NAMES = {
    "mit": "MIT", "expat": "MIT", "mit expat": "MIT", "mit style": "MIT",
    "mit no attribution": "MIT-0",
    "bsd": "LicenseRef-BSD", "bsd style": "LicenseRef-BSD", "bsd like": "LicenseRef-BSD",
    "new bsd": "BSD-3-Clause", "modified bsd": "BSD-3-Clause", "revised bsd": "BSD-3-Clause",
    "bsd 3": "BSD-3-Clause", "3 clause bsd": "BSD-3-Clause", "bsd 3 clause": "BSD-3-Clause",
    "bsd new": "BSD-3-Clause", "bsd 3 clause new or revised": "BSD-3-Clause",
    "bsd three clause": "BSD-3-Clause",
    "simplified bsd": "BSD-2-Clause", "bsd 2": "BSD-2-Clause", "2 clause bsd": "BSD-2-Clause",
    "bsd 2 clause": "BSD-2-Clause", "bsd 2 clause simplified": "BSD-2-Clause",
    "freebsd": "BSD-2-Clause", "0bsd": "0BSD", "bsd zero clause": "0BSD",
    "bsd zero clause bsd": "0BSD", "zero clause bsd": "0BSD",
    "apache": "Apache-2.0", "apache 2": "Apache-2.0", "apache 2.0": "Apache-2.0",
    "apache software": "Apache-2.0", "apache software 2.0": "Apache-2.0",
    "apache software 2": "Apache-2.0", "apache2": "Apache-2.0", "apache2.0": "Apache-2.0",
    "asl 2.0": "Apache-2.0", "asl2": "Apache-2.0", "al2": "Apache-2.0",
    "isc": "ISC", "iscl": "ISC", "isc iscl": "ISC",
    "psf": "PSF-2.0", "psfl": "PSF-2.0", "python software foundation": "PSF-2.0",
    "python software foundation 2": "PSF-2.0", "psf 2": "PSF-2.0", "python": "PSF-2.0",
    "cnri python": "CNRI-Python",
    "mpl": "LicenseRef-MPL", "mozilla public": "LicenseRef-MPL",
    "mpl 1.1": "MPL-1.1", "mpl 2": "MPL-2.0", "mpl 2.0": "MPL-2.0", "mpl2": "MPL-2.0",
    "mozilla public 1.1 mpl 1.1": "MPL-1.1", "mozilla public 2.0 mpl 2.0": "MPL-2.0",
    "mozilla public 2.0": "MPL-2.0", "mozilla public 1.1": "MPL-1.1",
    "epl": "LicenseRef-EPL", "eclipse public 1.0 epl 1.0": "EPL-1.0",
    "eclipse public 2.0 epl 2.0": "EPL-2.0", "eclipse public 2.0": "EPL-2.0",
    "unlicense": "Unlicense", "unlicense unlicense": "Unlicense",
    "public domain": "LicenseRef-Public-Domain", "cc0": "CC0-1.0",
    "cc0 1.0": "CC0-1.0", "cc0 1.0 universal cc0 1.0 public domain dedication": "CC0-1.0",
    "zlib": "Zlib", "zlib libpng": "Zlib", "zpl": "LicenseRef-ZPL", "zpl 2.1": "ZPL-2.1",
    "zope public": "LicenseRef-ZPL", "wtfpl": "WTFPL", "boost software 1.0 bsl 1.0": "BSL-1.0",
    "boost software 1.0": "BSL-1.0", "artistic": "LicenseRef-Artistic",
    "artistic 2.0": "Artistic-2.0", "hpnd": "HPND",
    "historical permission notice and disclaimer hpnd": "HPND",
    "academic free afl": "AFL-3.0", "european union public 1.2 eupl 1.2": "EUPL-1.2",
    "university of illinois ncsa open source": "NCSA", "universal permissive upl": "UPL-1.0",
    "mulan permissive software v2 mulanpsl 2.0": "MulanPSL-2.0",
    "other proprietary": "LicenseRef-Proprietary", "proprietary": "LicenseRef-Proprietary",
    "commercial": "LicenseRef-Proprietary", "all rights reserved": "LicenseRef-Proprietary",
}  # fmt: skip

# What the words of a licence begin with. Of several, the one found first in the text counts.
_WORDS = (
    ("permission is hereby granted, free of charge, to any person obtaining a copy", "MIT"),
    ("redistribution and use in source and binary forms", "BSD-2-Clause"),
    ("apache license version 2.0", "Apache-2.0"),
    ("apache license, version 2.0", "Apache-2.0"),
    ("permission to use, copy, modify, and/or distribute this software for any purpose", "ISC"),
    (
        "permission to use, copy, modify, and distribute this software for any purpose with or",
        "ISC",
    ),
    ("python software foundation license version 2", "PSF-2.0"),
    ("mozilla public license version 2.0", "MPL-2.0"),
    ("mozilla public license, version 2.0", "MPL-2.0"),
    ("mozilla public license, v. 2.0", "MPL-2.0"),
    ("gnu affero general public license version 3", "AGPL-3.0-only"),
    ("gnu lesser general public license version 3", "LGPL-3.0-only"),
    ("gnu lesser general public license version 2.1", "LGPL-2.1-only"),
    ("gnu general public license version 3", "GPL-3.0-only"),
    ("gnu general public license version 2", "GPL-2.0-only"),
    ("this is free and unencumbered software released into the public domain", "Unlicense"),
    ("eclipse public license - v 2.0", "EPL-2.0"),
    ("boost software license - version 1.0", "BSL-1.0"),
)
_TITLES = {  # a text that only names itself, as short LICENSE heads do
    "mit license": "MIT",
    "the mit license": "MIT",
    "bsd 3-clause license": "BSD-3-Clause",
    "bsd 2-clause license": "BSD-2-Clause",
    "isc license": "ISC",
}
_ENDORSEMENT = ("neither the name", "used to endorse or promote")

_FILLER = re.compile(r"\b(the|licen[cs]e[ds]?|version|under|terms?)\b|\bv\.?(?=\d)|^v\b")
_ADDRESS = re.compile(
    r"https?://(?:www\.)?(?:opensource|spdx|apache)\.org/licen[cs]es?/"
    r"(?P<name>[\w.-]+?)(?:-license)?(?:\.(?:php|html|txt))?/?$",
    re.IGNORECASE,
)
_PUNCTUATION = re.compile(r"[\s,;:()\[\]\"'“”_/\-]+")
_GNU = re.compile(
    r"affero (?:gnu )?general public|(?:library or )?lesser general public|library general public"
    r"|general public|\b[al]?gpl(?=v?\d|\b)"
)
_GNU_VERSION = re.compile(r"(?<![\d.])(\d(?:\.\d)?)(?:\.0)?(?![\d.])")
_LATER = re.compile(r"\+|or (?:any )?(?:later|newer|greater|above)(?: version)?")
_GNU_REST = re.compile(
    r"\b(?:gnu|the|licen[cs]e[ds]?|version|only|v|under|terms|of|and)\b|v(?=\d)|[\W_]"
)


_FAMILIES = {
    "LicenseRef-BSD": ("BSD-", "0BSD"),
    "LicenseRef-MPL": ("MPL-",),
    "LicenseRef-EPL": ("EPL-",),
    "LicenseRef-ZPL": ("ZPL-",),
    "LicenseRef-GPL": ("GPL-",),
    "LicenseRef-LGPL": ("LGPL-",),
    "LicenseRef-AGPL": ("AGPL-",),
    "LicenseRef-Artistic": ("Artistic-",),
}


def named(words: str) -> str:
    """The licence that a short name means, or nothing."""
    address = _ADDRESS.match(words)
    if address and address["name"].upper() == "LICENSE-2.0":
        return "Apache-2.0"
    return _NAMES.get(_key(address["name"] if address else words), "")


def gnu(words: str) -> str:
    """The licence of the GNU family that a short name means: kind, version, later ones or not."""
    lower = words.lower()
    kinds = {_gnu_kind(match) for match in _GNU.findall(lower)}
    rest = _LATER.sub(" ", _GNU.sub(" ", lower))
    versions = {match.removesuffix(".0") for match in _GNU_VERSION.findall(rest.replace("v", " "))}
    if len(kinds) != 1 or len(versions) > 1 or _GNU_REST.sub("", _GNU_VERSION.sub("", rest)):
        return ""
    return _gnu_expression(
        kinds.pop(), "".join(versions), "or-later" if _LATER.search(lower) else "only"
    )


def _gnu_kind(match: str) -> str:
    if match.endswith("gpl"):
        return match.upper()
    first = {"affero": "AGPL", "lesser": "LGPL", "library": "LGPL"}
    return first.get(match.split(maxsplit=1)[0], "GPL")


def _gnu_expression(kind: str, version: str, ending: str) -> str:
    if not version:
        return f"LicenseRef-{kind}"
    full = version if "." in version else f"{version}.0"
    try:
        return str(canonicalize_license_expression(f"{kind}-{full}-{ending}"))
    except InvalidLicenseExpression:
        return ""


def classifier(text: str) -> str:
    """The licence that a trove classifier names, or nothing for one that only names a group."""
    last = text.rsplit(" :: ", maxsplit=1)[-1].strip()
    return named(last) or gnu(last)


def worded(lower: str) -> str:
    """The licence whose opening words are found first in ``lower``, one line in lower case."""
    places = [(lower.find(words), order, name) for order, (words, name) in enumerate(_WORDS)]
    found = min((p for p in places if p[0] >= 0), default=None)
    if found is None:
        return next((n for title, n in _TITLES.items() if lower.startswith(title)), "")
    if found[2] == "BSD-2-Clause" and any(words in lower for words in _ENDORSEMENT):
        return "BSD-3-Clause"
    return found[2]


def is_family(family: str, member: str) -> bool:
    """Whether ``member`` is an exact licence of the bare ``family``."""
    return any(member.startswith(start) for start in _FAMILIES.get(family, ()))


def _key(words: str) -> str:
    plain = _FILLER.sub(" ", words.lower())
    said = _PUNCTUATION.sub(" ", plain).strip(" .").split()
    return " ".join(word for word, before in zip(said, ["", *said], strict=False) if word != before)


def words(expression: str) -> str:
    """An expression for people: a family whose version nobody said is called so."""
    named = expression.replace("LicenseRef-Proprietary", "proprietary")
    named = named.replace("LicenseRef-Public-Domain", "public domain")
    return re.sub(r"LicenseRef-([A-Z]\w*)", r"\1 (version not said)", named)
