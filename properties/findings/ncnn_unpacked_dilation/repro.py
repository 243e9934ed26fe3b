"""A dilated filter of one cell on an image of one cell, without the packing layout, and with it."""

import importlib.util
import subprocess
import sys

if importlib.util.find_spec("ncnn") is None:
    sys.exit(2)

CALL = """
import sys
import tempfile
import ncnn
import numpy as np

network = ncnn.Net()
network.opt.use_packing_layout = sys.argv[1] == "packed"
network.load_param_mem("7767517\\n2 2\\nInput in 0 1 x\\nConvolution layer 1 1 x y 0=1 1=1 2=2 5=0 6=1\\n")
with tempfile.NamedTemporaryFile() as stored:
    stored.write(bytes(4) + np.ones(1, np.float32).tobytes())
    stored.flush()
    network.load_model(stored.name)
extractor = network.create_extractor()
image = np.full((1, 1, 1), 7, np.float32)
extractor.input("x", ncnn.Mat(image).clone())
sys.exit(int(np.array(extractor.extract("y")[1]).ravel().tolist() != [7]))
"""
crashed = {}
for layout in ("packed", "unpacked"):
    done = subprocess.run([sys.executable, "-c", CALL, layout], capture_output=True)
    crashed[layout] = done.returncode < 0
    print(f"{layout}:", f"signal {-done.returncode}" if crashed[layout] else f"status {done.returncode}")
print("want status 0 of both: the one cell of the image")
sys.exit(int(crashed["unpacked"]))
