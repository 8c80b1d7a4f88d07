"""What the compiled files may contain: see tools/check_isa_symbols.py and tools/check_stable_abi.py."""

import subprocess
import sys
from pathlib import Path

import pytest

import bayesops

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(bayesops.__file__).parent


def run_check(script, *arguments):
    command = [sys.executable, ROOT / "tools" / script, *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


def compile_object(tmp_path, source, *flags):
    folder = tmp_path / "CMakeFiles/bayesops_kernels_avx2.dir"
    folder.mkdir(parents=True)
    (tmp_path / "kernel.cpp").write_text(source)
    subprocess.run(["c++", "-O0", *flags, "-c", tmp_path / "kernel.cpp", "-o", folder / "kernel.cpp.o"], check=True)
    return tmp_path


def test_kernels_of_an_instruction_set_stay_in_their_namespace():
    build_dirs = [path for path in ROOT.glob("build/cmake-*") if not path.name.endswith("-sanitize")]
    if not any(build_dir.glob("CMakeFiles/bayesops_kernels_avx2.dir/**/*.o") for build_dir in build_dirs):
        pytest.skip("no x86 object files here")
    check = run_check("check_isa_symbols.py", *build_dirs)
    assert check.returncode == 0, check.stdout + check.stderr


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("inline int shared(int x) { return x; } namespace bayesops::avx2 { int f() { return shared(1); } }", "shared"),
        (
            "int f(); namespace { int at_load = f(); } namespace bayesops::avx2 { int g() { return at_load; } }",
            "loaded",
        ),
    ],
)
def test_check_isa_symbols_finds_leaks(tmp_path, source, complaint):
    check = run_check("check_isa_symbols.py", compile_object(tmp_path, source, "-std=c++17"))
    assert check.returncode == 1
    assert complaint in check.stdout


def test_check_isa_symbols_accepts_templates_over_its_own_types(tmp_path):
    source = (
        "template <class T> T id(T x) { return x; } namespace bayesops::avx2 { struct S {}; S f() { return id(S{}); } }"
    )
    check = run_check("check_isa_symbols.py", compile_object(tmp_path, source, "-std=c++17"))
    assert check.returncode == 0, check.stdout


def test_libraries_use_only_the_stable_functions_of_torch_2_10():
    libraries = sorted(PACKAGE.glob("_C*.so"))
    assert "_C.so" in [path.name for path in libraries]
    check = run_check("check_stable_abi.py", *libraries)
    assert check.returncode == 0, check.stdout + check.stderr


def test_check_stable_abi_finds_what_is_not_stable(tmp_path):
    library = tmp_path / "_C.so"
    (tmp_path / "op.cpp").write_text(
        "namespace at { int get_num_threads(); } int f() { return at::get_num_threads(); }"
    )
    command = ["c++", "-shared", "-fPIC", f"-Wl,-rpath,{tmp_path}", "-o", library, tmp_path / "op.cpp"]
    subprocess.run(command, check=True)
    check = run_check("check_stable_abi.py", library)
    assert check.returncode == 1
    assert "get_num_threads" in check.stdout
    assert str(tmp_path) in check.stdout.split("looks for libraries in")[1]
