#!/usr/bin/env python3
"""The suite that scripts/recordings_suite.py makes, as the program reads it.

    recordings_suite_test.py PROGRAM SOURCE

The folder that holds data/spikes is named by the environment variable SPIKETUNE_SHARED; ../shared beside the source
otherwise. Skipped where it is not there.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def main():
    program, source = sys.argv[1], Path(sys.argv[2])
    spikes = Path(os.environ.get("SPIKETUNE_SHARED", source.parent / "shared")) / "data/spikes"
    if not spikes.exists():
        print(f"skipped: no {spikes}")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, source / "scripts/recordings_suite.py", spikes, folder], check=True, timeout=100)
        planned = subprocess.run([program, "plan", "--from", source / "results/h200/planning.json.gz", "--json", "--top", "1",
                                  "--suite", Path(folder) / "suite.json"],
                                 check=True, capture_output=True, text=True, timeout=100)
    problems = [each["problem"] for each in json.loads(planned.stdout)]
    found = {(p["workload"], p["timesteps"] * p["rows"], p["k"], p["n"]): p["density"] for p in problems}
    assert len(problems) == len(found) == 23, found.keys()
    # Density: of the recording in README.md of the recordings, of the convolution less what its padding adds.
    for key, density in {("vgg9_cifar10.conv2d_1", 131072, 576, 64): 0.156, ("vgg9_cifar10.fc_0", 1024, 4096, 1024): 0.190,
                         ("lenet5_mnist.conv2d_1", 36864, 150, 16): 0.254, ("lava_oxford.in", 2000, 200, 256): 0.0047,
                         ("lava_oxford.out", 32000, 256, 200): 0.0036}.items():
        assert abs(found[key] - density) <= 0.01 * density + 0.0005, (key, found[key])
    return 0


if __name__ == "__main__":
    sys.exit(main())
