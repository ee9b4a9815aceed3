"""Fetches the console's third-party files at their pinned versions and writes the manifests.

For maintainers only (``python -m tests.vendor.fetch``): nobody needs npm to install or run the
product, because what this fetches is committed. ``tests/console/test_vendor.py`` checks the
committed files against the manifests.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "static" / "vendor"
TESTS = ROOT / "tests" / "vendor"

ICONS = """
arrow-up bot box check chevron-left chevron-right circle-check circle-dashed circle-help
circle-play circle-slash circle-user circle-x clock copy ellipsis external-link file-text flag
git-fork hand hourglass house inbox info key-round keyboard link list-tree log-out mail
message-circle-question messages-square monitor moon octagon-pause play plug radio rotate-cw
scroll-text search server settings sparkles square-x sun triangle-alert wallet wrench x
"""


@dataclass(frozen=True)
class Package:
    """One npm package and which of its files we keep under which name."""

    name: str
    version: str
    licence: str
    target: Path
    files: dict[str, str] = field(default_factory=dict)


INTER = {
    f"files/inter-{part}-wght-normal.woff2": f"inter-{part}.woff2"
    for part in (
        "cyrillic-ext",
        "cyrillic",
        "greek-ext",
        "greek",
        "latin-ext",
        "latin",
        "vietnamese",
    )
}

PACKAGES = [
    Package(
        "htmx.org",
        "2.0.11",
        "0BSD",
        STATIC / "htmx-2.0.11",
        {"dist/htmx.min.js": "htmx.min.js", "LICENSE": "LICENSE"},
    ),
    Package(
        "idiomorph",
        "0.8.0",
        "0BSD",
        STATIC / "idiomorph-0.8.0",
        {"dist/idiomorph.min.js": "idiomorph.min.js", "LICENSE": "LICENSE"},
    ),
    Package(
        "@fontsource-variable/inter",
        "5.3.0",
        "OFL-1.1",
        STATIC / "inter-5.3.0",
        {**INTER, "LICENSE": "LICENSE"},
    ),
    Package("lucide-static", "1.62.0", "ISC", STATIC / "lucide-1.62.0", {"LICENSE": "LICENSE"}),
    Package(
        "axe-core",
        "4.14.1",
        "MPL-2.0",
        TESTS / "axe-core-4.14.1",
        {"axe.min.js": "axe.min.js", "LICENSE": "LICENSE"},
    ),
]


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        for package in PACKAGES:
            unpacked = unpack(package, Path(scratch))
            copy(package, unpacked)
            if package.name == "lucide-static":
                (package.target / "sprite.svg").write_text(sprite(unpacked / "icons"))
    for folder in (STATIC, TESTS):
        write_manifest(folder)


def unpack(package: Package, scratch: Path) -> Path:
    """Return the folder of the package's files, fetched by the ordinary npm client."""
    command = ["npm", "pack", "--silent", f"{package.name}@{package.version}"]
    name = subprocess.run(command, cwd=scratch, check=True, capture_output=True, text=True)
    folder = scratch / package.target.name
    with tarfile.open(scratch / name.stdout.strip()) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def copy(package: Package, unpacked: Path) -> None:
    package.target.mkdir(parents=True, exist_ok=True)
    for source, name in package.files.items():
        (package.target / name).write_bytes((unpacked / source).read_bytes())


def sprite(folder: Path) -> str:
    """Return one SVG file with a symbol per icon; strokes are set by the console's CSS."""
    symbols = []
    for name in ICONS.split():
        drawing = (folder / f"{name}.svg").read_text()
        inner = re.sub(r"\s*<!--.*?-->|\s*<svg[^>]*>|</svg>\s*", "", drawing, flags=re.DOTALL)
        shapes = "".join(line.strip().replace(" />", "/>") for line in inner.splitlines())
        symbols.append(f'<symbol id="i-{name}" viewBox="0 0 24 24">{shapes}</symbol>')
    body = "\n".join(symbols)
    return f'<svg xmlns="http://www.w3.org/2000/svg">\n{body}\n</svg>\n'


def write_manifest(folder: Path) -> None:
    entries = [entry(package) for package in PACKAGES if package.target.parent == folder]
    text = json.dumps(entries, indent=2) + "\n"
    (folder / "manifest.json").write_text(text)


def entry(package: Package) -> dict[str, object]:
    files = sorted(path for path in package.target.iterdir() if path.is_file())
    return {
        "name": package.name,
        "version": package.version,
        "licence": package.licence,
        "folder": package.target.name,
        "sha256": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
    }


if __name__ == "__main__":
    main()
