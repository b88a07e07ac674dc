# SPDX-License-Identifier: Apache-2.0
"""A driver can be built out of tree with the installed header and pkg-config file alone."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BUILD_DIR", SOURCE / "build"))

STRICT_C = ["-std=c11", "-pedantic-errors", "-Wall", "-Wextra", "-Werror"]
STRICT_CXX = ["-std=c++11", "-pedantic-errors", "-Wall", "-Wextra", "-Werror"]

# What a driver may need that is not of libc: nothing of ours.
OURS = re.compile(r" U (scg_|bus_|journal_|log_|config_|options_|x(malloc|calloc|strdup))")


def run(*command, **kwargs):
    result = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            check=False, **kwargs)
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.fixture(scope="module", name="installed")
def fixture_installed(tmp_path_factory):
    """Environment in which pkg-config finds what an installation of the build would bring."""
    root = tmp_path_factory.mktemp("installed")
    run("meson", "install", "-C", BUILD, "--no-rebuild", "--tags", "devel", "--destdir", root)
    configs = list(root.rglob("sensocan-driver.pc"))
    assert len(configs) == 1
    return {**os.environ, "PKG_CONFIG_PATH": str(configs[0].parent),
            "PKG_CONFIG_SYSROOT_DIR": str(root), "PKG_CONFIG_ALLOW_SYSTEM_CFLAGS": "1"}


def test_nothing_but_header_and_pkg_config_is_installed(installed):
    root = Path(installed["PKG_CONFIG_SYSROOT_DIR"])
    names = sorted(path.name for path in root.rglob("*") if path.is_file())
    assert names == ["sensocan-driver.h", "sensocan-driver.pc"]


def test_pkg_config_has_no_library_and_says_where_drivers_go(installed):
    assert run("pkg-config", "--libs", "sensocan-driver", env=installed).strip() == ""
    drivers = run("pkg-config", "--variable=driverdir", "sensocan-driver", env=installed).strip()
    assert drivers.endswith("/sensocan-gateway/drivers")


@pytest.mark.parametrize("compiler", ["gcc", "clang", "g++", "clang++"])
def test_header_compiles_alone(installed, compiler, tmp_path):
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}")
    is_cxx = compiler.endswith("++")
    source = tmp_path / ("header.cc" if is_cxx else "header.c")
    source.write_text("#include <sensocan-driver.h>\nint main(void);\nint main(void)\n"
                      "{\n\treturn sizeof(struct scg_driver) == 0;\n}\n")
    flags = run("pkg-config", "--cflags", "sensocan-driver", env=installed).split()
    run(compiler, *(STRICT_CXX if is_cxx else STRICT_C), *flags, "-c", source, "-o",
        tmp_path / "header.o")


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_skeleton_builds_out_of_tree(installed, compiler, tmp_path):
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}")
    project = tmp_path / "project"
    build = tmp_path / "build"
    shutil.copytree(SOURCE / "drivers" / "skeleton", project)
    run("meson", "setup", build, project, "-Dc_std=c11", "-Dwarning_level=3", "-Dwerror=true",
        env={**installed, "CC": compiler})
    run("ninja", "-C", build)
    symbols = run("nm", "-D", build / "skeleton.so")
    assert re.search(r" [DR] scg_driver_1$", symbols, re.MULTILINE)
    assert not OURS.search(symbols), symbols


@pytest.mark.parametrize("name", ["modbus", "sim"])
def test_drivers_of_the_tree_take_nothing_from_the_daemon(name):
    path = BUILD / "drivers" / f"{name}.so"
    symbols = run("nm", "-D", path)
    defined = re.findall(r" [A-TV-Z] (\S+)$", symbols, re.MULTILINE)
    assert defined == ["scg_driver_1"]
    # Versioned symbols are libc's; what has no version must be of the compiler's run time, or of a
    # library that the driver itself brings along.
    libraries = re.findall(r"=> (/\S+)", run("ldd", path))
    brought = {symbol for library in libraries for symbol in re.findall(
        r" [A-TV-Z] (\S+)$", run("nm", "-D", library), re.MULTILINE)}
    undefined = re.findall(r" [Uw] (\S+)$", symbols, re.MULTILINE)
    foreign = [symbol for symbol in undefined if "@" not in symbol and symbol not in brought
               and not re.match(r"_ITM_|__gmon_start__|__(a|t|ub)san_|__cxa_|__cyg_", symbol)]
    assert foreign == []
