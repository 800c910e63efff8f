"""Holds a command of the AWS CLI to the models of AWS's services, which botocore has: `aws.py WORD...`."""

import sys

import botocore.session

# What the CLI takes besides an operation's own parameters, and operations of the CLI alone.
GLOBAL = {"region", "profile", "output", "query", "cli-binary-format", "no-cli-pager"}
CUSTOM = {("logs", "tail"): {"follow", "since", "format"}, ("s3", "cp"): {"recursive"}, ("s3", "sync"): {"delete"}}


def option(parameter):
    return botocore.xform_name(parameter, "-")


def problem(words):
    service, command, rest = words[0], words[1], words[2:]
    given = {word[2:] for word in rest if word.startswith("--")}
    if (service, command) in CUSTOM:
        return f"unknown {given - CUSTOM[service, command] - GLOBAL}" if given - CUSTOM[service, command] - GLOBAL else None
    model = botocore.session.get_session().get_service_model(service)
    names = {option(name): name for name in model.operation_names}
    if command not in names:
        return f"{service} has no operation {command}"
    shape = model.operation_model(names[command]).input_shape
    members = {option(name): member for name, member in shape.members.items()}
    members |= {f"no-{name}": member for name, member in members.items() if member.type_name == "boolean"}
    unknown = given - members.keys() - GLOBAL
    missing = {option(name) for name in shape.required_members} - given
    return f"unknown {sorted(unknown)}, missing {sorted(missing)}" if unknown or missing else None


if __name__ == "__main__":
    sys.exit(problem(sys.argv[1:]))
