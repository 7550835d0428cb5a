"""The main job, from one end to the other: export EMOv2-5M to five targets and classify a photograph with each.

    make demo

Core ML packages are computed by edgekit's interpreter, which works on any machine; their input is a picture, not floats.
"""

import sys
from importlib import resources
from pathlib import Path

import numpy as np
import torch

import edgekit
from edgekit.cli.console import StageLines, note, print_table
from edgekit.interface import Preprocessing
from edgekit.preprocess import load_image, normalise, to_pixels

MODEL = "emov2-5m"
TARGETS = ("coreml", "tflite", "executorch", "onnx", "coreai")
PHOTOGRAPH = "flower.jpg"


def main() -> None:
    """Export, run, compare, print one table."""
    note(f"edgekit {edgekit.__version__}: exporting {MODEL} to {', '.join(TARGETS)}\n")
    result = edgekit.export(MODEL, targets=TARGETS, output_dir=Path("out/demo"), overwrite=True, listener=StageLines())

    preprocessing = Preprocessing(resolution=224)
    pixels = to_pixels(load_image(resources.files("edgekit") / "photographs" / PHOTOGRAPH), preprocessing)
    image = normalise(pixels, preprocessing)
    with torch.no_grad():
        eager = edgekit.build_model(MODEL)(torch.from_numpy(image)).numpy()

    rows = [("eager", "torch", "-", top3(eager), "-", "reference")]
    for written in result.artifacts:
        parity, size = written.parity, f"{written.size_bytes / 1e6:.2f}"
        if parity.verdict == "not_executed":
            rows.append((written.target, "-", size, "-", "-", "NOT EXECUTED"))
            continue
        artifact = edgekit.load_artifact(written.path)
        takes_pixels = artifact.methods[0].inputs[0].dtype == "image"
        given = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]) if takes_pixels else image
        logits = artifact.run("forward", {"image": given})["logits"]
        error = f"{np.abs(logits - eager).max():.1e}"
        rows.append(
            (
                written.target,
                str(parity.executed_by),
                size,
                top3(logits),
                error,
                f"{parity.verdict}: {parity.sqnr_db:.0f} dB, {parity.samples} inputs",
            )
        )

    note(f"\n{PHOTOGRAPH}: three best classes of 1000, by index. {MODEL} is UNTRAINED here: only the agreement means anything.\n")
    sys.stderr.flush()
    print_table(("where", "run by", "MB", "top-3 classes", "max error", "parity with eager"), rows)
    note("\nartifacts and manifests are in out/demo;  edgekit inspect out/demo/FILE  looks inside one")
    note("edgekit lint out/demo/emov2-5m_224_fp16.mlpackage  predicts what the Neural Engine may not take")


def top3(logits: np.ndarray) -> str:
    """Return the three largest classes and their logits."""
    order = np.argsort(-logits[0])[:3]
    return "  ".join(f"{index} ({logits[0, index]:+.3f})" for index in order)


if __name__ == "__main__":
    main()
