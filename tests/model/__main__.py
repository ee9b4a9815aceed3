"""``python -m tests.model`` prints every exploration, then what each broken rule leads to."""

from __future__ import annotations

from tests.model.catalogue import MUTANTS, SOUND
from tests.model.explorer import explore


def main() -> None:
    for name, model in SOUND.items():
        print(f"{name}: {explore(model)}")
    found = {name: explore(mutant.model) for name, mutant in MUTANTS.items()}
    for name in sorted(found, key=lambda name: len(found[name].path)):
        print(f"\nIf {name}: {found[name]}")


if __name__ == "__main__":
    main()
