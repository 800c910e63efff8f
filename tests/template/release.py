"""Holds the template of a release to template.yaml: zips in the place of packages to compile, and nothing else; and the
zips to what Lambda can start.

release.py SAM MOTO_SERVER makes it, compares the two as CloudFormation reads them, and has `sam package` upload the zips to
an S3 of moto's, where no cargo is on PATH.
"""

import copy
import importlib.machinery
import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from pathlib import Path

import yaml

from check import ROOT, Loader, differences

sys.dont_write_bytecode = True


def script(name):
    """A script without a suffix, as a module."""
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(ROOT / "scripts" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


module, zips = script("release-template"), script("release-zip")

SOURCE = (ROOT / "template.yaml").read_text()
# Changes of template.yaml that the script must not pass over.
REFUSED = [
    ("BuildMethod: rust-cargolambda", "BuildMethod: makefile"),
    ("      CodeUri: functions/load\n", "      CodeUri: functions/merge\n"),
    ("      BuildProperties: {Binary: load}\n", "      BuildProperties: {Binary: extract}\n"),
    ("AllowedValues: [arm64, x86_64]", "AllowedValues: [arm64, x86_64, riscv64]"),
    ("# Written by `make generate` from", "# From"),
]


def expected(source, architecture):
    """What the template of a release should say, from what template.yaml says."""
    wanted = copy.deepcopy(source)
    parameter = wanted["Parameters"]["Architecture"]
    parameter.update(Default=architecture, AllowedValues=[architecture],
                     Description="Processor of the functions, for which the zips of this release are built.")
    for resource in wanted["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            function = resource["Properties"]["CodeUri"].removeprefix("functions/")
            resource["Properties"]["CodeUri"] = f"hubspot-source-{function}-{architecture}.zip"
            del resource["Metadata"]["BuildMethod"], resource["Metadata"]["BuildProperties"]
    return wanted


def wrong(architecture):
    text = module.released(SOURCE, architecture)
    yield from differences(expected(yaml.load(SOURCE, Loader), architecture), yaml.load(text, Loader), architecture)


def unrefused():
    for old, new in REFUSED:
        assert old in SOURCE, f"is not in the template: {old!r}"
        try:
            module.released(SOURCE.replace(old, new, 1), "arm64")
        except ValueError:
            continue
        yield f"is not refused: {old!r} -> {new!r}"


def program(machine, *names):
    """The beginning of a program for Linux, and names that it asks the loader for."""
    return b"\x7fELF" + bytes(14) + machine.to_bytes(2, "little") + b"\0".join(names)


def wrong_zips():
    """What release-zip lets pass, and should not, or the other way round."""
    arm64, x86_64 = 183, 62
    cases = [
        (program(arm64, b"GLIBC_2.17", b"GLIBC_2.34"), None),
        (program(x86_64, b"GLIBC_2.17"), "no program for Linux on arm64"),
        (b"#!/bin/sh\nexit 0\n# long enough", "no program for Linux on arm64"),
        (program(arm64, b"GLIBC_2.9", b"GLIBC_2.35"), "glibc 2.35"),
        (program(arm64, b"GLIBC_2.17", b"libduckdb.so"), "DuckDB"),
    ]
    for content, reason in cases:
        found = list(zips.faults(content, "arm64"))
        if len(found) != (reason is not None) or (reason and reason not in found[0]):
            yield f"of {content[:60]} release-zip says {found}, not {reason}"
    with tempfile.TemporaryDirectory() as name:
        one, two = Path(name) / "one.zip", Path(name) / "two.zip"
        zips.write(cases[0][0], one)
        zips.write(cases[0][0], two)
        if one.read_bytes() != two.read_bytes():
            yield "two zips of the same program differ"
        with zipfile.ZipFile(one) as archive:
            entry = archive.infolist()[0]
            if archive.namelist() != ["bootstrap"] or entry.external_attr >> 16 != 0o100755 or entry.create_system != 3:
                yield f"the zip has {archive.infolist()}"


def packaged(sam, moto_server):
    """What `sam package` does with the folder of a release: the same zips in S3, and a template that names them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen([moto_server, "-H", "127.0.0.1", "-p", str(port)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{url}/moto-api/data.json").close()
                break
            except OSError:
                assert server.poll() is None, "moto does not start"
                time.sleep(0.1)
        s3(f"{url}/artifacts", "PUT")
        with tempfile.TemporaryDirectory() as name:
            yield from packaged_from(Path(name), sam, url)
    finally:
        server.terminate()
        server.wait()


def s3(url, method):
    """Asks moto's S3, which looks at the credential, and not at the signature."""
    request = urllib.request.Request(url, method=method, headers={
        "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request"})
    with urllib.request.urlopen(request) as answer:
        return answer.read()


def packaged_from(folder, sam, url):
    (folder / "template.yaml").write_text(module.released(SOURCE, "arm64"))
    codes = {}
    for function in ("extract", "load"):
        path = folder / module.zip_name(function, "arm64")
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("bootstrap", f"the program {function}")
        codes[function] = path.read_bytes()
    environment = {
        "PATH": "/usr/bin:/bin", "HOME": str(folder), "AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "SAM_CLI_TELEMETRY": "0",
    }
    done = subprocess.run(
        [os.path.abspath(sam), "package", "--template-file", "template.yaml", "--s3-bucket", "artifacts",
         "--output-template-file", "packaged.yaml"],
        cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        yield f"sam package fails: {done.stdout}{done.stderr}"
        return
    template = yaml.load((folder / "packaged.yaml").read_text(), Loader)
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            uri = resource["Properties"]["CodeUri"]
            function = "load" if name == "Load" else "extract"
            if s3(uri.replace("s3://", f"{url}/"), "GET") != codes[function]:
                yield f"{name} has another code than the zip of {function}"


def main(sam, moto_server):
    found = [*wrong("arm64"), *wrong("x86_64"), *unrefused(), *wrong_zips(), *packaged(sam, moto_server)]
    for line in found:
        print(line)
    print(f"the template of a release: {len(found)} differences")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
