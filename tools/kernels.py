"""Compiles kernels/*.cu with NVRTC, which needs neither a GPU nor a driver.

    tools/kernels.py write    kernels/ptx/*.ptx, kernels/ptx/sources.sha256 and the table of docs/kernels.md
    tools/kernels.py check    compiles again and compares

All kernels of a target are one module. `sources.sha256` is the hash of what the PTX is made from: name and bytes of every
source, of the pinned compiler and of this file, in the order of their names; a test compares it without a compiler.
"""

import ctypes
import hashlib
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
KERNELS = ROOT / "kernels"
# What PTX is made for, and the chip that registers are counted on.
TARGETS = {"compute_75": "sm_75", "compute_80": "sm_80", "compute_90": "sm_90"}
OPTIONS = ["--std=c++17"]


def sources():
    files = [*KERNELS.glob("*.cu"), *KERNELS.glob("*.cuh"), KERNELS / "requirements.txt", pathlib.Path(__file__).resolve()]
    return sorted(files, key=lambda path: path.name)


def fingerprint():
    sha = hashlib.sha256()
    for path in sources():
        data = path.read_bytes()
        sha.update(f"{path.name} {len(data)}\n".encode())
        sha.update(data)
    return sha.hexdigest()


class Nvrtc:
    def __init__(self):
        import nvidia.cuda_nvrtc

        folder = pathlib.Path(next(iter(nvidia.cuda_nvrtc.__path__))) / "lib"
        # The library looks for its own builtins by name.
        ctypes.CDLL(str(next(folder.glob("libnvrtc-builtins.so*"))), mode=ctypes.RTLD_GLOBAL)
        self.library = ctypes.CDLL(str(next(folder.glob("libnvrtc.so*"))))

    def call(self, name, *arguments):
        answer = getattr(self.library, name)(*arguments)
        if answer != 0:
            raise RuntimeError(f"{name} answers {answer}")

    def text(self, program, what):
        size = ctypes.c_size_t()
        self.call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self.call(f"nvrtcGet{what}", program, buffer)
        return buffer.value.decode()

    def compile(self, target, options):
        """The PTX and the compiler's log of all kernels together; no PTX for a chip itself."""
        headers = sorted(KERNELS.glob("*.cu*"))
        whole = "".join(f'#include "{path.name}"\n' for path in headers if path.suffix == ".cu")
        array = ctypes.c_char_p * len(headers)
        texts = array(*(path.read_bytes() for path in headers))
        names = array(*(path.name.encode() for path in headers))
        program = ctypes.c_void_p()
        self.call("nvrtcCreateProgram", ctypes.byref(program), whole.encode(), b"kernels.cu", len(headers), texts, names)
        options = [f"--gpu-architecture={target}", *OPTIONS, *options]
        words = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        answer = self.library.nvrtcCompileProgram(program, len(options), words)
        log = self.text(program, "ProgramLog")
        if answer != 0:
            sys.exit(f"kernels: cannot compile for {target}:\n{log}")
        return (self.text(program, "PTX") if target.startswith("compute") else ""), log


def resources(log):
    """Registers, bytes spilled and bytes of shared memory of each kernel."""
    found = {}
    for part in log.split("Compiling entry function '")[1:]:
        name = part.split("'")[0]
        spills = sum(int(n) for n in re.findall(r"(\d+) bytes spill", part))
        registers = int(re.search(r"Used (\d+) registers", part)[1])
        shared = re.search(r"(\d+) bytes smem", part)
        found[name] = (registers, spills, int(shared[1]) if shared else 0)
    return found


def table(logs):
    lines = ["| kernel | shared memory, bytes | " + " | ".join(f"{chip}: registers, spilled" for chip in logs) + " |"]
    lines.append("| --- | --- |" + " --- |" * len(logs))
    kernels = {chip: resources(log) for chip, log in logs.items()}
    for name in sorted(next(iter(kernels.values()))):
        of = [kernels[chip][name] for chip in logs]
        lines.append(f"| `{name}` | {max(o[2] for o in of)} | " + " | ".join(f"{o[0]}, {o[1]}" for o in of) + " |")
    return "\n".join(lines)


def main():
    if sys.argv[1:] not in (["write"], ["check"]):
        sys.exit(__doc__)
    nvrtc = Nvrtc()
    made, logs = {}, {}
    for target, chip in TARGETS.items():
        made[KERNELS / "ptx" / f"{target}.ptx"], _ = nvrtc.compile(target, [])
        _, logs[chip] = nvrtc.compile(chip, ["--ptxas-options=-v"])
    made[KERNELS / "ptx" / "sources.sha256"] = fingerprint() + "\n"
    page = ROOT / "docs" / "kernels.md"
    begin, end = "<!-- resources -->\n", "\n<!-- /resources -->"
    old = page.read_text(encoding="utf-8")
    made[page] = old[: old.index(begin) + len(begin)] + table(logs) + old[old.index(end) :]
    stale = [path for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if sys.argv[1] == "check":
        for path in stale:
            print(f"kernels: {path.relative_to(ROOT)} is not what its sources give; run `make kernels`")
        sys.exit(1 if stale else 0)
    (KERNELS / "ptx").mkdir(exist_ok=True)
    for path in stale:
        path.write_text(made[path], encoding="utf-8")
        print(f"kernels: wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
