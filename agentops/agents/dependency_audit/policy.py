"""What is asked of an audit: the folder, the rules, and who gets the report by mail."""

from __future__ import annotations

from typing import Annotated

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from agentops.mail.addresses import MailAddress

PERMISSIVE = (
    "0BSD", "AFL-3.0", "Apache-2.0", "BSD-*", "BSL-1.0", "CC0-1.0", "HPND", "ISC", "MIT", "MIT-*",
    "NCSA", "PSF-2.0", "Python-2.0*", "Unlicense", "Zlib", "ZPL-2.1", "CNRI-Python",
    "LicenseRef-Apache", "LicenseRef-BSD", "LicenseRef-Public-Domain",
)  # fmt: skip
STRONG = (
    "AGPL-*", "GPL-*", "SSPL-1.0", "BUSL-1.1", "CC-BY-NC-*", "Elastic-2.0",
    "LicenseRef-AGPL", "LicenseRef-GPL", "LicenseRef-Proprietary",
)  # fmt: skip

LONGEST_PATH = 4096


def _name(value: str) -> str:
    return str(canonicalize_name(value.strip()))


def _version(value: str) -> str:
    try:
        return str(Version(value))
    except InvalidVersion:
        raise ValueError(f"“{value}” is not a version such as 2.31.0") from None


def _expression(value: str) -> str:
    try:
        return str(canonicalize_license_expression(value))
    except InvalidLicenseExpression:
        raise ValueError(f"“{value}” is not an SPDX expression such as MIT OR Apache-2.0") from None


def _path(value: str) -> str:
    if len(value) > LONGEST_PATH:
        raise ValueError(f"A path has at most {LONGEST_PATH:,} characters")
    return value


Path = Annotated[str, AfterValidator(_path)]
PackageName = Annotated[str, AfterValidator(_name)]
MinimumVersion = Annotated[str, AfterValidator(_version)]
LicenceExpression = Annotated[str, AfterValidator(_expression)]


class Policy(BaseModel):
    """The rules. Licences are SPDX identifiers; ``*`` stands for anything."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    allowed_licences: tuple[str, ...] = Field(
        PERMISSIVE, description="Licences you may use without asking. Default: permissive ones."
    )
    denied_licences: tuple[str, ...] = Field(
        STRONG,
        description="Licences you may not use. What is in neither list is for you to decide.",
    )
    known_licences: dict[PackageName, LicenceExpression] = Field(
        default_factory=dict,
        description="Licences somebody looked up, by package; they replace the metadata.",
    )
    minimum_versions: dict[PackageName, MinimumVersion] = Field(
        default_factory=dict, description="The oldest version you accept, by package."
    )
    max_age_days: int | None = Field(
        None, ge=1, description="Name packages whose files are older than this many days."
    )
    pinned: bool = Field(
        True, description="Every requirement of the project must be locked or given with ==."
    )
    ignore: tuple[PackageName, ...] = Field((), description="Packages nothing is said about.")


class AuditInput(BaseModel):
    """What to audit. Without a folder: the environment that runs the audit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path | None = Field(
        None,
        description="A project, virtual environment or site-packages folder on the worker.",
    )
    policy: Policy = Field(
        default_factory=Policy,
        description='The rules to audit by, for example {"max_age_days": 365}.',
    )
    mail_to: tuple[MailAddress, ...] | None = Field(
        None,
        max_length=20,
        description="Who gets the report. Default: this system's own address; [] is nobody.",
    )
