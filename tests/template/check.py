"""Holds template.yaml to contract.py: permissions, and what the code and docs/deploy.md rely on.

check.py [TEMPLATE] prints one line for each thing that is wrong; nothing printed and exit code 0 mean that all holds.
What cfn-lint and checkov see is left to them, and that the file is as the list of feeds has it to the command's own test.
"""

import json
import re
import sys
from pathlib import Path

import yaml

from contract import (
    CONDITIONAL, ENVIRONMENT, EXTRACT_ENVIRONMENT, FIELDS, FULL_REFRESH, FURTHER_FILLS, LOAD_ENVIRONMENT, MANAGED_POLICIES,
    METADATA, METRICS, PERMISSIONS, STAGED_EVENT, function_arn, resource_name,
)

ROOT = Path(__file__).resolve().parents[2]


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Reads the short forms of CloudFormation's functions as the long ones, and refuses a key that is there twice."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key) for key, _ in node.value]
        for key in set(keys):
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"{key} is there twice: {node.start_mark}")
        return super().construct_mapping(node, deep)


def long_form(loader, suffix, node):
    construct = {
        yaml.ScalarNode: loader.construct_scalar,
        yaml.SequenceNode: lambda node: loader.construct_sequence(node, deep=True),
        yaml.MappingNode: lambda node: loader.construct_mapping(node, deep=True),
    }[type(node)]
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": construct(node)}


Loader.add_multi_constructor("!", long_form)


def identifier(feed):
    return "".join(word.capitalize() for word in feed.split("_"))


def walk(value, path=()):
    yield path, value
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from walk(child, (*path, key))


def as_list(value):
    return value if isinstance(value, list) else [value]


def differences(expected, found, path=""):
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted(expected.keys() | found.keys()):
            yield from differences(expected.get(key, "nothing"), found.get(key, "nothing"), f"{path}.{key}")
    elif expected != found:
        yield f"{path} is {json.dumps(found)}, not {json.dumps(expected)}"


def feeds_of(template):
    """Each feed that has a function, and whether its records are compared with HubSpot's."""
    functions = [one["Properties"] for one in template["Resources"].values() if one["Type"] == "AWS::Serverless::Function"]
    return {one["Environment"]["Variables"]["FEED"]: "OnReconcile" in one["Events"]
            for one in functions if "FEED" in one["Environment"]["Variables"]}


def without_history(template):
    """The collections that HardDelete may name, and History may not."""
    any_name = "[a-z0-9_]+(,[a-z0-9_]+)*"
    history = template["Parameters"]["History"]["AllowedPattern"]
    refused = re.fullmatch(r"\|\(\?!\(\.\*,\)\?\(([a-z_|]+)\)\(,\.\*\)\?\$\)" + re.escape(any_name), history)
    assert refused, f"History allows {history}"
    names = refused[1].split("|")
    for name in names:
        assert not re.fullmatch(history, f"cars,{name},deals"), f"History allows {name}"
    for pattern, text in [("History", "cars,deals"), ("HardDelete", f"cars,{names[0]}"), ("Collections", "all,-cars,calls_2")]:
        assert re.fullmatch(template["Parameters"][pattern]["AllowedPattern"], text), f"{pattern} refuses {text}"
    return names


def segments(template):
    """The collections of Segment's source, by what the functions say that they fill."""
    functions = [one["Properties"] for one in template["Resources"].values() if one["Type"] == "AWS::Serverless::Function"]
    prefix = "HubSpot to staged files of "
    filled = [one["Description"].removeprefix(prefix) for one in functions if one["Description"].startswith(prefix)]
    return ", ".join(text for text in filled if text != FURTHER_FILLS)


def person_columns():
    """The lines of the list of columns by which persons are known."""
    source = (ROOT / "shared/hubspot/src/feeds/persons.rs").read_text()
    lines = source.split("const LINES: &[&str] = &[", 1)[1].split("];", 1)[0]
    return ", ".join(re.findall(r'"([^"]+)"', re.sub(r"\\\n\s*", "", lines)))


def check_functions(template):
    """Names, artifact, environment, limits, and what happens to an event that fails."""
    common = template["Globals"]["Function"]
    feeds = feeds_of(template)
    scheduled = [{"Fn::If": [f"{identifier(feed)}IsOn", feed, {"Ref": "AWS::NoValue"}]} for feed in feeds]
    wanted = {
        "Runtime": "provided.al2023",
        "Handler": "bootstrap",
        "Architectures": [{"Ref": "Architecture"}],
        "Timeout": 900,
        "Tracing": "Active",
        "Layers": {"Fn::If": ["OtlpLayerIsGiven", [{"Ref": "OtlpLayerArn"}], {"Ref": "AWS::NoValue"}]},
        "RecursiveLoop": "Allow",
        "EventInvokeConfig": {"MaximumRetryAttempts": 2},
        "DeadLetterQueue": {"Type": "SQS", "TargetArn": {"Fn::GetAtt": "DeadLetters.Arn"}},
        "Environment": {"Variables": {**ENVIRONMENT, "SCHEDULED_FEEDS": {"Fn::Join": [",", scheduled]}}},
    }
    yield from differences(wanted, common, "Globals.Function")
    for name in [*feeds, "load"]:
        is_load = name == "load"
        package = "load" if is_load else "extract"
        logical = "Load" if is_load else f"Extract{identifier(name)}"
        function = template["Resources"][logical]
        properties = function["Properties"]
        of_load = {**LOAD_ENVIRONMENT, "WITHOUT_HISTORY": ", ".join(without_history(template)),
                   "SEGMENT_COLLECTIONS": segments(template), "METADATA_COLLECTIONS": METADATA,
                   "PERSON_COLUMNS": person_columns()}
        own = of_load if is_load else {"FEED": name, **EXTRACT_ENVIRONMENT}
        expected = {
            "FunctionName": {"Fn::Sub": f"${{AWS::StackName}}-{name}"},
            "CodeUri": f"functions/{package}",
            "Role": {"Fn::GetAtt": "LoadRole.Arn" if is_load else "ExtractRole.Arn"},
            "LoggingConfig": {"LogGroup": {"Ref": f"{identifier(name)}Log"}},
            "Environment": {"Variables": own},
        }
        found = {key: value for key, value in properties.items() if key in expected}
        yield from differences(expected, found, logical)
        for key in properties.keys() & wanted.keys() - {"Environment"}:
            yield f"{logical}.{key} overrides Globals"
        if "Policies" in properties:
            yield f"{logical}.Policies: permissions belong to its role"
        build = {"BuildMethod": "rust-cargolambda", "BuildProperties": {"Binary": package}}
        yield from differences(build, {key: function["Metadata"].get(key) for key in build}, f"{logical}.Metadata")
        manifest = ROOT / "functions" / package / "Cargo.toml"
        if not re.search(rf'^name = "{package}"$', manifest.read_text(), re.M):
            yield f"{manifest} is not the package {package}"
        log = template["Resources"][f"{identifier(name)}Log"]["Properties"]
        expected = {
            "LogGroupName": {"Fn::Sub": f"/aws/lambda/${{AWS::StackName}}-{name}"},
            "RetentionInDays": {"Ref": "LogRetentionDays"},
        }
        yield from differences(expected, log, f"{identifier(name)}Log")
        yield from check_schedule(name, logical, properties, feeds.get(name))


def check_schedule(name, logical, properties, is_compared):
    events = properties.get("Events", {})
    of_feed = ["OnSchedule", "OnReconcile", "OnRefresh"] if is_compared else ["OnSchedule"]
    wanted = ["OnSchedule", "OnMaintenance", "OnReport"] if name == "load" else of_feed
    events = dict(events)
    if name == "load":
        yield from differences(STAGED_EVENT, events.pop("OnStaged", None), f"{logical}.OnStaged")
    if list(events) != wanted or any(event["Type"] != "ScheduleV2" for event in events.values()):
        yield f"{logical} has the events {list(events)}, not the schedules {wanted}"
        return
    inputs = {
        "OnSchedule": {"trigger": "schedule"},
        "OnMaintenance": {"trigger": "schedule", "maintain": True},
        "OnReport": {"trigger": "schedule", "report": True},
        "OnReconcile": {"trigger": "reconcile", "mode": "reconcile"},
        "OnRefresh": {"trigger": "refresh", "mode": "refresh"},
    }
    for event in wanted:
        if json.loads(events[event]["Properties"]["Input"]) != inputs[event]:
            yield f"{logical}.{event} has another input"
    expected = {
        "Name": {"Fn::Sub": f"${{AWS::StackName}}-{name}"},
        "GroupName": {"Ref": "Schedules"},
        "State": {"Fn::If": [f"{identifier(name)}IsOn", "ENABLED", "DISABLED"]},
        "ScheduleExpression": {"Ref": "LoadSchedule"} if name == "load" else {
            "Fn::If": ["ExtractScheduleIsGiven", {"Ref": "ExtractSchedule"},
                       "rate(3 hours)" if name in FULL_REFRESH else {"Fn::Sub": "rate(${Freshness})"}]},
        "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15} if name == "load" else {
            "Fn::If": ["StartsAtOnce", {"Mode": "OFF"}, {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}]},
        "RoleArn": {"Fn::GetAtt": "SchedulerRole.Arn"},
        "RetryPolicy": {"MaximumRetryAttempts": 10, "MaximumEventAgeInSeconds": 3600},
        "DeadLetterConfig": {"Arn": {"Fn::GetAtt": "DeadLetters.Arn"}},
    }
    more = {
        "OnSchedule": {},
        "OnMaintenance": {
            "Name": {"Fn::Sub": f"${{AWS::StackName}}-{name}-maintain"},
            "State": {"Fn::If": ["WarehouseWantsMaintenance", "ENABLED", "DISABLED"]},
            "ScheduleExpression": "rate(1 day)",
            "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 60},
        },
        "OnReport": {
            "Name": {"Fn::Sub": f"${{AWS::StackName}}-{name}-report"},
            "State": {"Fn::If": ["ReportPageIsOn", "ENABLED", "DISABLED"]},
            "ScheduleExpression": "rate(1 day)",
            "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 60},
        },
    }
    for mode, every in [("Reconcile", "rate(1 day)"), ("Refresh", "rate(7 days)")]:
        more[f"On{mode}"] = {
            "Name": {"Fn::Sub": f"${{AWS::StackName}}-{name}-{mode.lower()}"},
            "State": {"Fn::If": [f"{identifier(name)}{mode}IsOn", "ENABLED", "DISABLED"]},
            "ScheduleExpression": {"Fn::If": [f"{mode}IsOn", {"Ref": f"{mode}Schedule"}, every]},
            "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 60},
        }
    for event in wanted:
        schedule = {key: value for key, value in events[event]["Properties"].items() if key != "Input"}
        yield from differences(expected | more[event], schedule, f"{logical}.{event}")


def statements(policy):
    """The statements of a policy, each with the condition of the template that it hangs on."""
    for statement in policy["Statement"]:
        if "Fn::If" in statement:
            condition, one, other = statement["Fn::If"]
            assert other == {"Ref": "AWS::NoValue"}, "a statement has an alternative"
            yield condition, one
        else:
            yield None, statement


def check_permissions(template):
    """Each role may do what PERMISSIONS says and no more, and there are no other roles."""
    feeds = feeds_of(template)
    of_feeds = {
        ("ExtractRole", "Log"): [{"Fn::GetAtt": f"{identifier(feed)}Log.Arn"} for feed in feeds],
        ("ExtractRole", "Continue"): [function_arn(feed) for feed in feeds],
        ("SchedulerRole", "Start"): [
            *({"Fn::GetAtt": f"Extract{identifier(feed)}.Arn"} for feed in feeds), {"Fn::GetAtt": "Load.Arn"}],
    }
    roles = {name: one for name, one in template["Resources"].items() if one["Type"].startswith("AWS::IAM::")}
    if roles.keys() != PERMISSIONS.keys():
        yield f"IAM has {sorted(roles)}, not {sorted(PERMISSIONS)}"
    for name, role in roles.items():
        properties = role["Properties"]
        if properties.get("ManagedPolicyArns") != MANAGED_POLICIES.get(name):
            yield f"{name} has other managed policies than the warehouse's"
        own = properties.keys() - {"ManagedPolicyArns"}
        if own != {"AssumeRolePolicyDocument", "Policies"} or len(properties["Policies"]) != 1:
            yield f"{name} has more than its own policy"
        seen = []
        for condition, statement in statements(properties["Policies"][0]["PolicyDocument"]):
            sid = statement["Sid"]
            seen.append(sid)
            actions, resources = PERMISSIONS.get(name, {}).get(sid, (set(), []))
            resources = of_feeds[name, sid] if resources is None else resources
            if condition != CONDITIONAL.get(name, {}).get(sid):
                yield f"{name}.{sid} hangs on {condition}"
            if set(as_list(statement["Action"])) != actions:
                yield f"{name}.{sid} allows {statement['Action']}"
            if as_list(statement["Resource"]) != resources:
                yield f"{name}.{sid} is for {json.dumps(statement['Resource'])}"
            if statement["Effect"] != ("Deny" if sid == "CodeMakesNoInterfaces" else "Allow"):
                yield f"{name}.{sid}: {statement['Effect']}"
        if seen != list(PERMISSIONS.get(name, {})):
            yield f"{name} has the statements {seen}"
    for path, value in walk(template["Resources"]):
        if isinstance(value, dict) and value.get("Effect") == "Allow":
            if any("*" in action for action in as_list(value["Action"])):
                yield f"{'.'.join(map(str, path))} allows {value['Action']}"
        if isinstance(value, str) and ("arn:aws:" in value or re.search(r"\b\d{12}\b", value)):
            yield f"{'.'.join(map(str, path))} names a partition or an account: {value}"


def check_state(template):
    """What outlives the stack, and how it is kept."""
    resources = template["Resources"]
    key, nothing = {"Ref": "KmsKeyArn"}, {"Ref": "AWS::NoValue"}

    def if_key(given, otherwise):
        return {"Fn::If": ["KeyIsGiven", given, otherwise]}

    table = {
        "SSESpecification": if_key({"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}, nothing),
        "TableName": {"Fn::Sub": "${AWS::StackName}-state"},
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
        "TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": True},
        "StreamSpecification": {"StreamViewType": "KEYS_ONLY"},
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
        "DeletionProtectionEnabled": True,
    }
    yield from differences(table, resources["State"]["Properties"], "State")
    for name in ["State", "Staged", "StagedPolicy"]:
        for policy in ["DeletionPolicy", "UpdateReplacePolicy"]:
            if resources[name].get(policy) != "Retain":
                yield f"{name}.{policy} is {resources[name].get(policy)}"
    bucket = resources["Staged"]["Properties"]
    encryption = {
        "ServerSideEncryptionByDefault": if_key(
            {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}, {"SSEAlgorithm": "AES256"}),
        "BucketKeyEnabled": if_key(True, False),
    }
    if bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"] != [encryption]:
        yield f"Staged is encrypted by {json.dumps(bucket['BucketEncryption'])}"
    queue = {"KmsMasterKeyId": if_key(key, nothing), "SqsManagedSseEnabled": if_key(nothing, True)}
    if not queue.items() <= resources["DeadLetters"]["Properties"].items():
        yield "DeadLetters is not encrypted with the key"
    blocked = ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"]
    yield from differences(dict.fromkeys(blocked, True), bucket["PublicAccessBlockConfiguration"], "Staged")
    rules = bucket["LifecycleConfiguration"]["Rules"]
    if {"DaysAfterInitiation": 1} not in [rule.get("AbortIncompleteMultipartUpload") for rule in rules]:
        yield "Staged keeps unfinished uploads"
    snapshots = {"Prefix": {"Fn::Sub": "${Schema}/_snapshot_"}, "ExpirationInDays": 30}
    if snapshots not in [{key: rule.get(key) for key in snapshots} for rule in rules]:
        yield "Staged keeps snapshots"
    for rule in rules:
        if rule.get("Prefix") != snapshots["Prefix"] and rule.keys() & {"ExpirationInDays", "ExpirationDate", "Transitions", "Transition"}:
            yield f"Staged.{rule['Id']}: a staged file is kept for ever, where it is read at once"
    tls = resources["StagedPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    expected = {
        "Sid": "TlsOnly", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
        "Resource": [{"Fn::GetAtt": "Staged.Arn"}, {"Fn::Sub": "${Staged.Arn}/*"}],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    if tls != [expected]:
        yield f"StagedPolicy says {json.dumps(tls)}"
    secret = resources["HubSpotSecret"]["Properties"]
    if secret.keys() != {"Description", "KmsKeyId"} or secret["KmsKeyId"] != if_key(key, nothing):
        yield f"HubSpotSecret has {sorted(secret)}: it gets its value after the deployment, and its name from AWS"


def check_parameters(template):
    """Each is described, grouped, used, and in the table of docs/deploy.md with its default."""
    parameters = template["Parameters"]
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    if sorted(grouped) != sorted(parameters):
        yield f"grouped are {sorted(grouped)}, not {sorted(parameters)}"
    used = set()
    for section in ["Conditions", "Globals", "Resources", "Outputs"]:
        for path, value in walk(template[section]):
            if path and path[-1] == "Ref":
                used.add(value)
            elif isinstance(value, str):
                used.update(re.findall(r"\$\{(\w+)\}", value))
    table = (ROOT / "docs/deploy.md").read_text().split("\n## Parameters\n")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", table, re.M))
    # Those of the feeds have a table of their own, which is generated.
    switches = {identifier(feed) for feed in feeds_of(template)}
    for name, parameter in parameters.items():
        if not parameter.get("Description"):
            yield f"{name} has no description"
        if name not in used:
            yield f"{name} is not used"
        if name in switches:
            continue
        default = str(parameter.get("Default", "none: you must say")).strip() or "empty"
        row = rows.pop(name, "missing").strip(" `")
        if row != default:
            yield f"docs/deploy.md: {name} is {row}, not {default}"
    if rows:
        yield f"docs/deploy.md has parameters that do not exist: {sorted(rows)}"


def expected_alarms():
    """All alarms, but for their descriptions: by logical name, what they hang on and their properties."""
    stack = [{"Name": "Stack", "Value": {"Ref": "AWS::StackName"}}]

    def common(suffix):
        return {"AlarmName": {"Fn::Sub": f"${{AWS::StackName}}-{suffix}"}, "EvaluationPeriods": 1,
                "ComparisonOperator": "GreaterThanThreshold", "AlarmActions": [{"Ref": "Alarms"}],
                "OKActions": [{"Ref": "Alarms"}]}

    def watched(metric):
        assert metric in METRICS, f"nobody reports {metric}"
        return {"Namespace": "HubspotSource", "MetricName": metric, "Dimensions": stack}

    def flag(suffix, metric):
        return None, common(suffix) | watched(metric) | {
            "Statistic": "Maximum", "Period": 300, "Threshold": 0, "TreatMissingData": "ignore"}

    def hours(suffix, metric, condition, threshold, expression, label, name, missing):
        return condition, common(suffix) | {
            "Metrics": [
                {"Id": "hours", "Label": label, "Expression": expression},
                {"Id": name, "ReturnData": False,
                 "MetricStat": {"Metric": watched(metric), "Stat": "Minimum", "Period": 3600}},
            ],
            "Threshold": {"Ref": threshold}, "TreatMissingData": missing}

    def age(suffix, metric, condition, threshold):
        return hours(suffix, metric, condition, threshold, "age / 3600", "hours since", "age", "ignore")

    lag = {"Ref": "AlarmLagHours"}
    filled = hours("load-behind", "LoadLagSeconds", "LoadIsOn", "AlarmLagHours", "FILL(lag, 604800) / 3600",
                   "hours behind", "lag", "breaching")
    silent = common("silent") | watched("LagSeconds") | {
        "Statistic": "SampleCount", "Period": 3600, "EvaluationPeriods": lag, "Threshold": 1,
        "ComparisonOperator": "LessThanThreshold", "TreatMissingData": "breaching"}

    queue = {"Namespace": "AWS/SQS", "MetricName": "ApproximateNumberOfMessagesVisible", "Statistic": "Maximum",
             "Dimensions": [{"Name": "QueueName", "Value": {"Fn::GetAtt": "DeadLetters.QueueName"}}], "Period": 300,
             "Threshold": 0, "TreatMissingData": "notBreaching"}
    quota = watched("DailyCallsUsedPercent") | {
        "Statistic": "Maximum", "Period": 3600, "Threshold": 90, "TreatMissingData": "notBreaching"}
    return {
        "FailedAlarm": flag("failed", "FailedFeeds"),
        "IncompleteAlarm": flag("incomplete", "IncompleteCollections"),
        "UnreconciledAlarm": age("unreconciled", "ReconciliationAgeSeconds", "SomethingIsReconciled", "AlarmReconcileHours"),
        "UnrefreshedAlarm": age("unrefreshed", "RefreshAgeSeconds", "SomethingIsRefreshed", "AlarmRefreshHours"),
        "BehindAlarm": hours("behind", "LagSeconds", "SomethingIsRead", "AlarmLagHours", "lag / 3600", "hours behind",
                             "lag", "ignore"),
        "SilentAlarm": ("SomethingIsRead", silent),
        "LoadFailed": flag("load-failed", "FailedLoads"),
        "LoadBehind": (filled[0], filled[1] | {"EvaluationPeriods": lag}),
        "DeadLettersAlarm": (None, common("dead-letters") | queue),
        "DailyCallsAlarm": (None, common("daily-calls") | quota),
    }


def check_alarms(template):
    """Alarms are on metrics that are reported, tell somebody, and are explained in docs/operate.md."""
    explained = (ROOT / "docs/operate.md").read_text()
    alarms = {name: one for name, one in template["Resources"].items() if one["Type"] == "AWS::CloudWatch::Alarm"}
    expected = expected_alarms()
    if alarms.keys() != expected.keys():
        yield f"alarms are {sorted(alarms)}, not {sorted(expected)}"
    for name, (condition, wanted) in expected.items():
        properties = dict(alarms[name]["Properties"])
        description = properties.pop("AlarmDescription", None)
        if not description:
            yield f"{name} does not say what it means"
        yield from differences(wanted, properties, name)
        if alarms[name].get("Condition") != condition:
            yield f"{name} hangs on {alarms[name].get('Condition')}, not {condition}"
        suffix = wanted["AlarmName"]["Fn::Sub"].removeprefix("${AWS::StackName}-")
        if f"\n### ...-{suffix}\n" not in explained:
            yield f"docs/operate.md does not explain ...-{suffix}"


def check_dashboard(template):
    """It is JSON, shows metrics that are reported and alarms that are always there, and nothing overlaps."""
    if template["Resources"]["Dashboard"].get("Condition") != "DashboardIsOn":
        yield "the dashboard is there whether or not somebody wants it"
    body = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    try:
        widgets = json.loads(re.sub(r": \$\{\w+\}", ": 1", body))["widgets"]
    except json.JSONDecodeError as error:
        yield f"the dashboard is not JSON: {error}"
        return
    shown = set()
    cells = set()
    for widget in widgets:
        title = widget["properties"]["title"]
        area = {(x, y) for x in range(widget["x"], widget["x"] + widget["width"])
                for y in range(widget["y"], widget["y"] + widget["height"])}
        if cells & area or max(x for x, _ in area) >= 24:
            yield f"dashboard: {title!r} overlaps another widget or the edge"
        cells |= area
        metrics = widget["properties"].get("metrics", [])
        ids = {metric[-1].get("id") for metric in metrics if isinstance(metric, list)}
        for metric in metrics:
            if isinstance(metric, dict):
                if metric["expression"].split()[0] not in ids:
                    yield f"dashboard: {title!r} computes with what it does not have"
            elif metric[0] == "HubspotSource":
                shown.add(metric[1])
                if metric[2:4] != ["Stack", "${AWS::StackName}"]:
                    yield f"dashboard: {title!r} looks beyond this stack"
        if widget["type"] == "log":
            sources, _, query = widget["properties"]["query"].rpartition("' | ")
            groups = re.findall(r"SOURCE '([^']+)'?", sources)
            if groups != [f"/aws/lambda/${{AWS::StackName}}-{name}" for name in [*feeds_of(template), "load"]]:
                yield f"dashboard: {title!r} does not look at all logs"
            yield from odd_fields(f"dashboard: {title!r}", query)
        for arn in widget["properties"].get("alarms", []):
            name = arn.removeprefix(resource_name("cloudwatch", "alarm:")["Fn::Sub"])
            named = [one for one in template["Resources"].values() if one["Type"] == "AWS::CloudWatch::Alarm"
                     and one["Properties"]["AlarmName"]["Fn::Sub"] == name]
            if [one.get("Condition") for one in named] != [None]:
                yield f"dashboard: there is not always an alarm {arn}"
    if shown != METRICS:
        yield f"dashboard: shown and reported differ by {sorted(shown ^ METRICS)}"


def odd_fields(name, query):
    """Fields of a query that no line has."""
    bare = re.sub(r'"[^"]*"|\bas \w+|\bbin\(\w+\)', "", query)
    words = {"filter", "fields", "stats", "sort", "limit", "desc", "by", "or", "and", "sum", "max", "count", "ispresent",
             "dedup"}
    for word in re.findall(r"@?[A-Za-z_]\w*(?:\.\w+)?", bare):
        field = word.split(".")[0]
        if field not in words and field not in FIELDS:
            yield f"{name} asks for {word}, which no line has"


def check_queries(template):
    """Each saved query looks at all logs, for fields that lines have."""
    logs = [{"Ref": f"{identifier(name)}Log"} for name in [*feeds_of(template), "load"]]
    queries = {name: one for name, one in template["Resources"].items() if one["Type"] == "AWS::Logs::QueryDefinition"}
    if len(queries) < 5:
        yield f"there are {len(queries)} saved queries"
    for name, one in queries.items():
        properties = one["Properties"]
        if not properties["Name"]["Fn::Sub"].startswith("${AWS::StackName}/"):
            yield f"{name} is not in the stack's folder"
        if properties["LogGroupNames"] != logs:
            yield f"{name} does not look at all logs"
        yield from odd_fields(name, properties["QueryString"])


def check_names(template):
    """Parameters and resources share one space of names, also with the resources that SAM makes."""
    made = [f"{name}{event}" for name, one in template["Resources"].items()
            if one["Type"] == "AWS::Serverless::Function" for event in [*one["Properties"]["Events"], "EventInvokeConfig"]]
    names = [*template["Parameters"], *template["Resources"], *made]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{name} is the name of two things"


def check_skips(template):
    """Each check of checkov that is left out says why, in place."""
    if "checkov" in template["Metadata"]:
        yield "checks are left out for the whole template"
    for name, one in template["Resources"].items():
        for skip in one.get("Metadata", {}).get("checkov", {}).get("skip", []):
            if len(skip.get("comment", "")) < 20:
                yield f"{name} leaves out {skip['id']} and does not say why"


def check_conditions(template):
    """A feed is on when its parameter says so; that of all further objects, if there may be any as well."""
    for feed in feeds_of(template):
        name = identifier(feed)
        is_on = {"Fn::Equals": [{"Ref": name}, "on"]}
        if feed == "objects":
            nothing = [{"Fn::Not": [{"Fn::Equals": [{"Ref": "Collections"}, text]}]} for text in ("", "segment")]
            is_on = {"Fn::And": [is_on, *nothing]}
        yield from differences(is_on, template["Conditions"].get(f"{name}IsOn"), f"{name}IsOn")
    often = [{"Fn::Equals": [{"Ref": "Freshness"}, every]} for every in ("15 minutes", "5 minutes")]
    given = {"Condition": "ExtractScheduleIsGiven"}
    default = {"Fn::Or": [{"Fn::Equals": [{"Ref": "ExtractSchedule"}, text]} for text in ("", "rate(3 hours)")]}
    fresher = {"Fn::Not": [{"Fn::Equals": [{"Ref": "Freshness"}, "3 hours"]}]}
    for condition, wanted in [
        ("ExtractScheduleIsGiven", {"Fn::Not": [default]}),
        ("ReadsOften", {"Fn::And": [{"Fn::Not": [given]}, fresher]}),
        ("StartsAtOnce", {"Fn::And": [{"Fn::Not": [given]}, {"Fn::Or": often}]}),
        ("LoadIsTold", {"Fn::And": [{"Condition": "LoadIsOn"}, fresher]}),
    ]:
        yield from differences(wanted, template["Conditions"].get(condition), condition)
    feeds = feeds_of(template)
    for condition, suffix, concerned in [
        ("SomethingIsRead", "IsOn", feeds),
        ("SomethingIsReconciled", "ReconcileIsOn", [feed for feed, is_compared in feeds.items() if is_compared]),
        ("SomethingIsRefreshed", "RefreshIsOn", [feed for feed, is_compared in feeds.items() if is_compared]),
    ]:
        any_of = {"Fn::Or": [{"Condition": f"{identifier(feed)}{suffix}"} for feed in concerned]}
        yield from differences(any_of, template["Conditions"].get(condition), condition)


def check_outputs(template):
    if template["Outputs"]["DashboardUrl"].get("Condition") != "DashboardIsOn":
        yield "the output DashboardUrl is there without a dashboard"
    wanted = {"HubSpotSecretArn", "DashboardUrl", "QueriesUrl", "StateTable", "Bucket", "DeadLettersUrl"}
    if template["Outputs"].keys() != wanted:
        yield f"outputs are {sorted(template['Outputs'])}, not {sorted(wanted)}"
    if "put-secret-value" not in template["Outputs"]["HubSpotSecretArn"]["Description"]:
        yield "HubSpotSecretArn does not say how the secret gets its value"


CHECKS = [check_functions, check_conditions, check_permissions, check_state, check_parameters, check_alarms, check_dashboard,
          check_queries, check_names, check_skips, check_outputs]


def failures(text):
    try:
        template = yaml.load(text, Loader)
        return [f"{check.__name__}: {failure}" for check in CHECKS for failure in check(template)]
    except (yaml.YAMLError, KeyError, AssertionError) as error:
        return [f"the template lacks a part that is looked at: {error!r}"]


def main():
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "template.yaml"
    found = failures(path.read_text())
    for failure in found:
        print(failure)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
