"""Holds the Terraform module to template.yaml, and evaluates what it computes without AWS.

Its variables are the template's parameters, its outputs the template's; that is read with a parser of Terraform's language.
Where the program terraform (or tofu) is on PATH, it formats the files, and computes the stack's parameters and the template
that the module uploads, which is parsed. The resources in main.tf are only parsed: their schema is the provider's, which
comes from Terraform's registry.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import hcl2
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/template"))
from check import Loader, differences  # noqa: E402
from release import expected, module as release  # noqa: E402

MODULE = ROOT / "deploy/terraform"
TYPES = {"String": "string", "Number": "number", "CommaDelimitedList": "list(string)"}
# Given here, and not by the stack's parameters.
OWN = {"name", "artifacts_bucket", "artifacts_prefix", "release_folder", "tags"}
# One for each folder of a release.
FIXED = "Architecture"
HARNESS = """
output "parameters" {
  value = local.parameters
}
output "keys" {
  value = local.keys
}
output "template" {
  value = local.template
}
output "template_key" {
  value = local.template_key
}
"""


def snake(name):
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name.replace("HubSpot", "Hubspot")).lower()


def read(name):
    return hcl2.loads((MODULE / name).read_text())


def single(value):
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def declared(file, kind):
    return {name: body for block in read(file).get(kind, []) for name, body in block.items()}


def check_variables(template):
    variables = declared("parameters.tf", "variable")
    parameters = {name: one for name, one in template["Parameters"].items() if name != FIXED}
    if list(variables) != [snake(name) for name in parameters]:
        yield f"the module's variables are {list(variables)}"
        return
    if set(declared("package.tf", "variable")) != OWN:
        yield f"package.tf has the variables {sorted(declared('package.tf', 'variable'))}"
    for name, parameter in parameters.items():
        variable = variables[snake(name)]
        kind = parameter["Type"]
        default = parameter.get("Default")
        wanted = {
            "type": f"${{{TYPES[kind]}}}",
            "default": [] if kind == "CommaDelimitedList" else default,
            "description": parameter["Description"].replace('"', '\\"'),
        }
        found = {
            "type": single(variable["type"]),
            "default": variable.get("default", [None])[0],
            "description": single(variable["description"]),
        }
        yield from differences(wanted, found, name)
        condition = str(variable.get("validation", ""))
        if [str(value) for value in parameter.get("AllowedValues", []) if str(value) not in condition]:
            yield f"{snake(name)} is not held to {parameter['AllowedValues']}"


def check_outputs(template):
    outputs = declared("outputs.tf", "output")
    if list(outputs) != [snake(name) for name in template["Outputs"]]:
        yield f"the module's outputs are {list(outputs)}"
    for name in template["Outputs"]:
        if f'stack.this.outputs["{name}"]' not in str(outputs.get(snake(name), {}).get("value")):
            yield f"{snake(name)} is not the stack's {name}"


class Terraform:
    """A folder with what of the module needs no provider, below that of a release."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder / "terraform"
        self.folder.mkdir()
        for name in ("package.tf", "parameters.tf"):
            shutil.copy(MODULE / name, self.folder)
        (self.folder / "harness.tf").write_text(HARNESS)
        self.run("init", "-backend=false")

    def run(self, *words):
        return subprocess.run([self.program, f"-chdir={self.folder}", *words], capture_output=True, text=True)

    def outputs(self, **variables):
        (self.folder / "terraform.tfvars.json").write_text(json.dumps(variables))
        done = self.run("apply", "-auto-approve", "-input=false", "-no-color")
        if done.returncode:
            return done.stderr
        return {name: one["value"] for name, one in json.loads(self.run("output", "-json").stdout).items()}


def check_values(program, template):
    """What the module computes, by Terraform itself."""
    formatted = subprocess.run([program, "fmt", "-check", "-list=true", str(MODULE)], capture_output=True, text=True)
    if formatted.returncode:
        yield f"terraform fmt would change {formatted.stdout}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "template.yaml").write_text(release.released((ROOT / "template.yaml").read_text(), "arm64"))
        for function in ("extract", "load"):
            (folder / release.zip_name(function, "arm64")).write_bytes(f"a zip of {function}".encode())
        terraform = Terraform(program, folder)
        given = {"name": "acme", "artifacts_bucket": "artifacts", "warehouse_url": "none"}
        found = terraform.outputs(**given, load_subnet_ids=["subnet-1", "subnet-2"], log_retention_days=7)
        if isinstance(found, str):
            yield found
            return
        wanted = {key: str(one.get("Default", "")) for key, one in template["Parameters"].items() if key != FIXED}
        wanted |= {"WarehouseUrl": "none", "LoadSubnetIds": "subnet-1,subnet-2", "LogRetentionDays": "7"}
        yield from differences(wanted, found["parameters"], "parameters")
        uploaded = expected(template, "arm64")
        for resource in uploaded["Resources"].values():
            if resource["Type"] == "AWS::Serverless::Function":
                function = re.search(r"-(extract|load)-", resource["Properties"]["CodeUri"])[1]
                resource["Properties"]["CodeUri"] = f"s3://artifacts/{found['keys'][function]}"
        yield from differences(uploaded, yaml.load(found["template"], Loader), "template")
        if not re.fullmatch(r"hubspot-source/load-[0-9a-f]{64}\.zip", found["keys"]["load"]):
            yield f"the key of load is {found['keys']['load']}"
        again = terraform.outputs(**given)
        if again["template_key"] != found["template_key"]:
            yield "the template of the same release has another key"
        (folder / release.zip_name("load", "arm64")).write_bytes(b"another zip of load")
        if terraform.outputs(**given)["template_key"] == found["template_key"]:
            yield "another release has the same key"
        refusals = {
            "contacts": (given | {"contacts": "maybe"}, "One of on, off."),
            "no warehouse": ({"name": "acme", "artifacts_bucket": "artifacts"}, "warehouse_url"),
        }
        for what, (variables, reason) in refusals.items():
            if reason not in str(terraform.outputs(**variables)):
                yield f"is not refused: {what}"
        (folder / release.zip_name("load", "x86_64")).write_bytes(b"a zip of another processor")
        if not isinstance(terraform.outputs(**given), str):
            yield "two zips of load are not refused"


def main():
    template = yaml.load((ROOT / "template.yaml").read_text(), Loader)
    found = [*check_variables(template), *check_outputs(template)]
    read("main.tf")
    program = shutil.which("terraform") or shutil.which("tofu")
    if program:
        found += check_values(program, template)
    else:
        print("skipped: neither terraform nor tofu is on PATH, so that what the module computes is not looked at")
    for line in found:
        print(line)
    print(f"the Terraform module: {len(found)} differences")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
