"""What the functions, the command line and docs/deploy.md rely on in template.yaml."""

# What the function of all further objects fills, in its description.
FURTHER_FILLS = "further objects and metadata, as far as Collections names them"

# The tables that the word metadata stands for.
METADATA = ("object_schemas, pipelines, pipeline_stages, owners, owner_teams, account_users, roles, teams, team_users, forms, "
            "subscription_definitions, exchange_rates, properties, property_options")

# Besides those of single collections, such as Rows_deals, which are generated.
METRICS = {
    "extract": {
        "Rows", "DeletedRows", "UnparsedValues", "Files", "StagedBytes", "Calls", "RefusedCalls", "FailedRuns",
        "IncompleteRuns", "StoppedRuns", "LagSeconds", "NewestChangeSeconds", "DailyCallsUsedPercent", "CostDollars",
        "QuarantinedThings", "SnapshotIds", "ReconciliationAgeSeconds", "RefreshAgeSeconds",
    },
    "load": {
        "StagedRows", "MergedRows", "Files", "PendingFiles", "Statements", "FailedRuns", "StoppedRuns", "LagSeconds",
        "CostDollars", "DifferingRecords",
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


# All that each role may do: the actions and resources of each statement; None for those of all feeds.
PERMISSIONS = {
    "ExtractRole": {
        "KeepState": (STATE_ACTIONS, [{"Fn::GetAtt": "State.Arn"}]),
        "StageFiles": ({"s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"}, [{"Fn::Sub": "${Staged.Arn}/*"}]),
        "FindFiles": ({"s3:ListBucket", "s3:ListBucketMultipartUploads"}, [{"Fn::GetAtt": "Staged.Arn"}]),
        "ReadCredential": ({"secretsmanager:GetSecretValue"}, [{"Ref": "HubSpotSecret"}]),
        "Continue": ({"lambda:InvokeFunction"}, None),
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
    "PROPERTY_HISTORY": {"Ref": "PropertyHistory"},
    "HUBSPOT_URL": {"Ref": "HubSpotUrl"},
    "HUBSPOT_SECRET_ARN": {"Ref": "HubSpotSecret"},
    "RESERVE_PERCENT": {"Ref": "ReservePercent"},
    "STAGED_CODEC": {"Ref": "StagedCodec"},
}
LOAD_ENVIRONMENT = {
    "WAREHOUSE_URL": {"Ref": "WarehouseUrl"},
    "WAREHOUSE_SECRET_ARN": {"Ref": "WarehouseSecretArn"},
    "HARD_DELETE": {"Ref": "HardDelete"},
    "HISTORY": {"Ref": "History"},
}
