"""Claims of the pages, where other networks come out: which of them still hold?

Each way trains all networks anew: with more threads, with older instruction sets, as
PyTorch's own switches limit them, and from other seeds.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CLAIMS = Path(__file__).parents[1] / "site" / "test_claims.py"


def limited(dnnl, aten, mkl):
    return {
        "DNNL_MAX_CPU_ISA": dnnl,
        "ATEN_CPU_CAPABILITY": aten,
        "MKL_CBWR": mkl,
    }


WAYS = {
    "as on the site": {},
    "two threads": {"OMP_NUM_THREADS": "2"},
    "AVX2": limited("AVX2", "avx2", "AVX2"),
    "SSE": limited("SSE41", "default", "COMPATIBLE"),
    "seed 1": {"CNNVIZ_CLAIMS_SEED": "1"},
    "seed 2": {"CNNVIZ_CLAIMS_SEED": "2"},
}


@pytest.mark.parametrize("way", WAYS)
def bench_claims(way):
    one = {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    pytest_alone = (sys.executable, "-m", "pytest", "-q", "--tb=no", "-rf", str(CLAIMS))
    done = subprocess.run(
        pytest_alone, env=os.environ | one | WAYS[way], capture_output=True, text=True
    )
    false = re.findall(r"^FAILED .*?\[(.*)\]", done.stdout, flags=re.MULTILINE)
    print(f"\n{way}: {done.stdout.splitlines()[-1]}", *false, sep="\n  ")
    assert done.returncode == 0, f"{len(false)} claims are false: {way}"
