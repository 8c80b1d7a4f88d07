"""Draw the pictures of docs/pictures.md: `make pictures`, or `python examples/pictures`."""

import argparse
from pathlib import Path

import numpy as np
import regression
import scenes
import training
import unsure_digits

SCRIPTS = (unsure_digits, training, regression, scenes)


def main():
    parser = argparse.ArgumentParser(description="Train small networks on real data, and draw what they are unsure of.")
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[2] / "docs" / "images", metavar="DIR")
    parser.add_argument("--quick", action="store_true", help="hardly train: the pictures show nothing, but are drawn")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for script in SCRIPTS:
        for name, axes in script.pictures(options.quick):
            path = options.output / f"{name}.png"
            # No version of matplotlib in it: what is drawn alike is the same file.
            np.ravel(axes)[0].figure.savefig(path, dpi=130, metadata={"Software": None})
            print(path)


if __name__ == "__main__":
    main()
