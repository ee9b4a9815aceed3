from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.licenses import canonicalize_license_expression
from packaging.licenses._spdx import LICENSES

from agentops.agents.dependency_audit.licences import Licence, licence_of, normalise
from tests.agents.environments import record

OSI = "License :: OSI Approved :: "


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("MIT", "MIT"),
        ("The MIT License (MIT)", "MIT"),
        ("mit licence", "MIT"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("https://www.apache.org/licenses/LICENSE-2.0", "Apache-2.0"),
        ("http://www.opensource.org/licenses/mit-license.php", "MIT"),
        ("BSD", "LicenseRef-BSD"),
        ("New BSD", "BSD-3-Clause"),
        ("BSD 2-Clause License", "BSD-2-Clause"),
        ("BSD 3-Clause OR Apache-2.0", "BSD-3-Clause OR Apache-2.0"),
        ("MIT/Apache-2.0", "MIT OR Apache-2.0"),
        ("BSD, MIT", "LicenseRef-BSD AND MIT"),
        ("GPLv2+", "GPL-2.0-or-later"),
        ("GNU General Public License v3 or later (GPLv3+)", "GPL-3.0-or-later"),
        ("GNU Library or Lesser General Public License (LGPL)", "LicenseRef-LGPL"),
        ("LGPLv2.1", "LGPL-2.1-only"),
        ("GPL", "LicenseRef-GPL"),
        ("GPLv2 or GPLv3", "GPL-2.0-only OR GPL-3.0-only"),
        ("GPL 2.0 or MIT", "GPL-2.0-only OR MIT"),
        ("GNU Affero General Public License v3", "AGPL-3.0-only"),
        ("Other/Proprietary License", "LicenseRef-Proprietary"),
        ("zlib/libpng", "Zlib"),
        ("not GPL", ""),
        ("LGPL with exceptions", ""),
        ("Dual License", ""),
        ("see LICENSE", ""),
        ("GPLv9", ""),
        ("", ""),
    ],
)
def test_a_name_is_understood_or_left_unknown(text: str, expression: str) -> None:
    assert normalise(text) == expression


@given(st.text(max_size=200) | st.text("GPLAMIT BSDor/and,;()v23.+-", max_size=60))
@settings(deadline=None)
def test_any_text_gives_a_valid_expression_or_nothing(text: str) -> None:
    found = normalise(text)

    assert found == "" or canonicalize_license_expression(found) == found


@given(st.text("GPLAMITBSDlorand v23.+-/", max_size=40))
@settings(deadline=None)
def test_what_was_normalised_stays_as_it_is(text: str) -> None:
    found = normalise(text)

    assert normalise(found) == found


@given(st.sampled_from(sorted(LICENSES)), st.booleans())
@settings(deadline=None)
def test_every_spdx_identifier_means_itself_in_any_case(name: str, upper: bool) -> None:
    identifier = LICENSES[name]["id"]

    assert normalise(identifier.upper() if upper else identifier.lower()) == identifier


@given(st.sampled_from(["MIT", "New BSD", "GPLv3+", "Apache 2.0", "MIT OR ISC"]), st.data())
@settings(deadline=None)
def test_space_and_case_do_not_matter(text: str, data: st.DataObject) -> None:
    space = data.draw(st.sampled_from([" ", "  ", "\n", "\t"]))
    spelled = text.replace(" ", space)
    varied = spelled if " OR " in text else spelled.swapcase()

    assert normalise(f"{space}{varied}{space}") == normalise(text)


MIT_TEXT = """Copyright (c) 2020 Somebody

Permission is hereby granted, free of charge, to any person obtaining
a copy of this software and associated documentation files"""
BSD_TEXT = "Redistribution and use in source and binary forms, with or without modification, are"


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        (MIT_TEXT, "MIT"),
        (BSD_TEXT + " permitted provided that the following conditions are met: x", "BSD-2-Clause"),
        (BSD_TEXT + " … Neither the name of the copyright holder nor …", "BSD-3-Clause"),
        ("x " * 80 + "GNU GENERAL PUBLIC LICENSE\n  Version 3, 29 June 2007", "GPL-3.0-only"),
        ("It is not known what this is. " * 9, ""),
    ],
)
def test_the_words_of_a_licence_are_recognised(text: str, expression: str) -> None:
    assert normalise(text) == expression


def test_the_expression_field_comes_first() -> None:
    found = licence_of(record("a", licence_expression="mit or apache-2.0", licence_text="GPL"))

    assert found == Licence("MIT OR Apache-2.0", "License-Expression", "mit or apache-2.0")


def test_a_classifier_makes_a_bare_family_exact() -> None:
    classifier = OSI + "GNU General Public License v3 (GPLv3)"
    found = licence_of(record("a", licence_text="GPL", licence_classifiers=(classifier,)))

    assert (found.expression, found.field) == ("GPL-3.0-only", "Classifier")


def test_a_family_and_its_member_do_not_disagree() -> None:
    classifiers = (OSI + "BSD License",)
    found = licence_of(record("a", licence_text="BSD-3-Clause", licence_classifiers=classifiers))

    assert (found.expression, found.disagreement) == ("BSD-3-Clause", "")


def test_fields_that_disagree_are_told() -> None:
    classifiers = (OSI + "Apache Software License", OSI + "MIT License")
    found = licence_of(record("a", licence_text="MIT License", licence_classifiers=classifiers))

    assert (found.expression, found.disagreement) == ("MIT", "Apache-2.0 and MIT")


def test_several_classifiers_all_count_and_the_doubt_is_said() -> None:
    classifiers = (OSI + "BSD License", OSI + "Apache Software License")
    found = licence_of(record("a", licence_text="Dual License", licence_classifiers=classifiers))

    assert found.expression == "LicenseRef-BSD AND Apache-2.0"
    assert "without saying whether all or any apply" in found.note


def test_a_classifier_that_names_a_group_only_is_no_licence() -> None:
    found = licence_of(record("a", licence_classifiers=("License :: OSI Approved",)))

    assert (found.expression, found.field) == ("", "Classifier")


def test_the_licence_file_is_the_last_resort() -> None:
    found = licence_of(record("a", licence_file="LICENSE", licence_file_text=MIT_TEXT))

    assert (found.expression, found.field) == ("MIT", "LICENSE")


def test_an_unknown_licence_shows_what_was_said() -> None:
    found = licence_of(record("a", licence_text="Free for friends"))

    assert found == Licence("", "License", "Free for friends")


def test_no_word_about_a_licence_is_said_to_be_so() -> None:
    assert licence_of(record("a")).note == "No field and no licence file names a licence."
