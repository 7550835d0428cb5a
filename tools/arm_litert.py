"""Runs every method of a LiteRT file once, inside the emulated arm64 Python: nothing but LiteRT and numpy are there.

python arm_litert.py MODEL FOLDER    reads FOLDER/INPUT.npy, writes FOLDER/METHOD.OUTPUT.npy; later methods take what earlier ones gave
"""

import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def main() -> int:
    """Run them in the order of their names."""
    model, folder = sys.argv[1], Path(sys.argv[2])
    interpreter = Interpreter(model_path=model, num_threads=1)
    known = {path.stem: np.load(path) for path in folder.glob("*.npy")}
    for method, names in sorted(interpreter.get_signature_list().items()):
        outputs = interpreter.get_signature_runner(method)(**{name: known[name] for name in names["inputs"]})
        known |= outputs
        for name, array in outputs.items():
            np.save(folder / f"{method}.{name}.npy", array)
    return 0


if __name__ == "__main__":
    sys.exit(main())
