"""What the functions, the command line and docs/deploy.md rely on in template.yaml."""

# What each feed fills; its function, schedule, dimension and log carry its name.
FEEDS = {
    "contacts": ["contacts", "contact_identity_profiles", "contact_identities", "form_submissions"],
    "companies": ["companies"],
    "deals": ["deals"],
    "contact_lists": ["contact_lists"],
    "email_campaigns": ["email_campaigns"],
    "email_events": ["email_events"],
    "subscription_timeline": ["email_subscription_event_changes", "email_subscriptions"],
}
# Feeds whose records are compared with snapshots.
SNAPSHOT_FEEDS = ["contacts", "companies", "deals"]
COLLECTIONS = [collection for filled in FEEDS.values() for collection in filled]

METRICS = {
    "extract": {
        "Rows", "DeletedRows", "UnparsedValues", "Files", "StagedBytes", "Calls", "RefusedCalls", "FailedRuns",
        "IncompleteRuns", "StoppedRuns", "LagSeconds", "NewestChangeSeconds", "DailyCallsUsedPercent", "CostDollars",
        "SnapshotIds", "ReconciliationAgeSeconds", "RefreshAgeSeconds",
        *(f"Rows_{collection}" for collection in COLLECTIONS),
    },
    "load": {
        "StagedRows", "MergedRows", "Files", "PendingFiles", "Statements", "FailedRuns", "StoppedRuns", "LagSeconds",
        "CostDollars", "DifferingRecords", *(f"DifferingRecords_{feed}" for feed in SNAPSHOT_FEEDS),
    },
}

STATE_ACTIONS = {
    f"dynamodb:{action}"
    for action in
    ["GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "ConditionCheckItem", "BatchWriteItem"]
}
INTERFACE_ACTIONS = {
    f"ec2:{action}"
    for action in
    ["CreateNetworkInterface", "DeleteNetworkInterface", "DescribeNetworkInterfaces", "DescribeSubnets",
     "AssignPrivateIpAddresses", "UnassignPrivateIpAddresses"]
}


def resource_name(kind, name):
    return {"Fn::Sub": f"arn:${{AWS::Partition}}:{kind}:${{AWS::Region}}:${{AWS::AccountId}}:{name}"}


def function_arn(name):
    return resource_name("lambda", f"function:${{AWS::StackName}}-{name}")


# All that each role may do: the actions and resources of each statement.
PERMISSIONS = {
    "ExtractRole": {
        "KeepState": (STATE_ACTIONS, [{"Fn::GetAtt": "State.Arn"}]),
        "StageFiles": ({"s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"}, [{"Fn::Sub": "${Staged.Arn}/*"}]),
        "FindUnfinishedUploads": ({"s3:ListBucketMultipartUploads"}, [{"Fn::GetAtt": "Staged.Arn"}]),
        "ReadCredential": ({"secretsmanager:GetSecretValue"}, [{"Ref": "HubSpotSecret"}]),
        "Continue": ({"lambda:InvokeFunction"}, [function_arn(feed) for feed in FEEDS]),
        "GiveUp": ({"sqs:SendMessage"}, [{"Fn::GetAtt": "DeadLetters.Arn"}]),
        "Log": ({"logs:CreateLogStream", "logs:PutLogEvents"}, None),
        "Trace": ({"xray:PutTraceSegments", "xray:PutTelemetryRecords"}, ["*"]),
    },
    "LoadRole": {
        "KeepState": (STATE_ACTIONS, [{"Fn::GetAtt": "State.Arn"}]),
        "ReadFiles": ({"s3:GetObject"}, [{"Fn::Sub": "${Staged.Arn}/*"}]),
        "FindFiles": ({"s3:ListBucket"}, [{"Fn::GetAtt": "Staged.Arn"}]),
        "ReadCredential": ({"secretsmanager:GetSecretValue"}, [{"Ref": "WarehouseSecretArn"}]),
        "Continue": ({"lambda:InvokeFunction"}, [function_arn("load")]),
        "GiveUp": ({"sqs:SendMessage"}, [{"Fn::GetAtt": "DeadLetters.Arn"}]),
        "Log": ({"logs:CreateLogStream", "logs:PutLogEvents"}, [{"Fn::GetAtt": "LoadLog.Arn"}]),
        "Trace": ({"xray:PutTraceSegments", "xray:PutTelemetryRecords"}, ["*"]),
        "JoinVpc": (INTERFACE_ACTIONS, ["*"]),
        "CodeMakesNoInterfaces": (INTERFACE_ACTIONS, ["*"]),
    },
    "SchedulerRole": {
        "Start": ({"lambda:InvokeFunction"}, None),
        "GiveUp": ({"sqs:SendMessage"}, [{"Fn::GetAtt": "DeadLetters.Arn"}]),
    },
}
MANAGED_POLICIES = {
    "LoadRole": {"Fn::If": ["WarehouseHasPolicy", [{"Ref": "WarehousePolicyArn"}], {"Ref": "AWS::NoValue"}]},
}
CONDITIONAL = {"ReadCredential": "WarehouseHasSecret", "JoinVpc": "LoadIsInVpc", "CodeMakesNoInterfaces": "LoadIsInVpc"}

ENVIRONMENT = {
    "STACK": {"Ref": "AWS::StackName"},
    "STATE_TABLE": {"Ref": "State"},
    "BUCKET": {"Ref": "Staged"},
    "SCHEMA": {"Ref": "Schema"},
    "COLLECTIONS": {"Ref": "Collections"},
    "MAX_CONTINUATIONS": {"Ref": "MaxContinuations"},
    "RUST_LOG": {"Ref": "LogLevel"},
}
EXTRACT_ENVIRONMENT = {
    "HUBSPOT_URL": {"Ref": "HubSpotUrl"},
    "HUBSPOT_SECRET_ARN": {"Ref": "HubSpotSecret"},
    "RESERVE_PERCENT": {"Ref": "ReservePercent"},
}
LOAD_ENVIRONMENT = {
    "WAREHOUSE_URL": {"Ref": "WarehouseUrl"},
    "WAREHOUSE_SECRET_ARN": {"Ref": "WarehouseSecretArn"},
    "HARD_DELETE": {"Ref": "HardDelete"},
    "HISTORY": {"Ref": "History"},
}
