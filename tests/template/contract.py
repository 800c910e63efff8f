"""What the functions, the command line and docs/deploy.md rely on in template.yaml."""

# What the function of all further objects fills, in its description.
FURTHER_FILLS = "further objects and metadata, as far as Collections names them"

# Feeds that are read as a whole each time, whatever has changed.
FULL_REFRESH = {"contact_lists", "email_campaigns"}

# What tells the load that something was staged: an item for each file, in the partition of those that are not merged.
STAGED_EVENT = {
    "Type": "DynamoDB",
    "Properties": {
        "Enabled": {"Fn::If": ["LoadIsTold", True, False]},
        "Stream": {"Fn::GetAtt": "State.StreamArn"},
        "StartingPosition": "LATEST",
        "BatchSize": 1000,
        "MaximumBatchingWindowInSeconds": 60,
        "MaximumRetryAttempts": 0,
        "FilterCriteria": {"Filters": [
            {"Pattern": '{"eventName": ["INSERT"], "dynamodb": {"Keys": {"pk": {"S": ["pending"]}}}}'}]},
    },
}

# The tables that the word metadata stands for.
METADATA = ("object_schemas, pipelines, pipeline_stages, owners, owner_teams, account_users, roles, teams, team_users, forms, "
            "subscription_definitions, exchange_rates, properties, property_options")

# What the functions report under the dimension Stack.
METRICS = {
    "FailedFeeds", "IncompleteCollections", "LagSeconds", "ReconciliationAgeSeconds", "RefreshAgeSeconds",
    "DailyCallsUsedPercent", "FailedLoads", "LoadLagSeconds", "Rows", "Calls", "MergedRows",
}
# Fields of the lines that invocations log, which queries name.
FIELDS = METRICS | {
    "@timestamp", "Function", "feed", "outcome", "DeletedRows", "UnparsedValues", "QuarantinedThings", "lag_seconds",
    "failed", "incomplete", "furthest_behind", "error_type", "RowsOf", "RefusedCalls", "CostDollars", "StagedRows",
    "PendingFiles", "Statements",
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


KEY_ACTIONS = {"kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"}

# All that each role may do: the actions and resources of each statement; None for those of all feeds.
PERMISSIONS = {
    "ExtractRole": {
        "KeepState": (STATE_ACTIONS, [{"Fn::GetAtt": "State.Arn"}]),
        "StageFiles": ({"s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"}, [{"Fn::Sub": "${Staged.Arn}/*"}]),
        "FindFiles": ({"s3:ListBucket", "s3:ListBucketMultipartUploads"}, [{"Fn::GetAtt": "Staged.Arn"}]),
        "ReadCredential": ({"secretsmanager:GetSecretValue"}, [{"Ref": "HubSpotSecret"}]),
        "Continue": ({"lambda:InvokeFunction"}, None),
        "GiveUp": ({"sqs:SendMessage"}, [{"Fn::GetAtt": "DeadLetters.Arn"}]),
        "UseKey": (KEY_ACTIONS, [{"Ref": "KmsKeyArn"}]),
        "Log": ({"logs:CreateLogStream", "logs:PutLogEvents"}, None),
        "Trace": ({"xray:PutTraceSegments", "xray:PutTelemetryRecords"}, ["*"]),
    },
    "LoadRole": {
        "KeepState": (STATE_ACTIONS, [{"Fn::GetAtt": "State.Arn"}]),
        "ReadStream": (
            {"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"},
            [{"Fn::Sub": "${State.Arn}/stream/*"}]),
        "ReadFiles": ({"s3:GetObject"}, [{"Fn::Sub": "${Staged.Arn}/*"}]),
        "CompactFiles": (
            {"s3:AbortMultipartUpload", "s3:DeleteObject", "s3:PutObject"}, [{"Fn::Sub": "${Staged.Arn}/*"}]),
        "ForgetVersions": ({"s3:DeleteObjectVersion"}, [{"Fn::Sub": "${Staged.Arn}/*"}]),
        "FindFiles": ({"s3:ListBucket", "s3:ListBucketVersions"}, [{"Fn::GetAtt": "Staged.Arn"}]),
        "ReadCredential": ({"secretsmanager:GetSecretValue"}, [{"Ref": "WarehouseSecretArn"}]),
        "Continue": ({"lambda:InvokeFunction"}, [function_arn("load")]),
        "GiveUp": ({"sqs:SendMessage"}, [{"Fn::GetAtt": "DeadLetters.Arn"}]),
        "UseKey": (KEY_ACTIONS, [{"Ref": "KmsKeyArn"}]),
        "Log": ({"logs:CreateLogStream", "logs:PutLogEvents"}, [{"Fn::GetAtt": "LoadLog.Arn"}]),
        "Trace": ({"xray:PutTraceSegments", "xray:PutTelemetryRecords"}, ["*"]),
        "JoinVpc": (INTERFACE_ACTIONS, ["*"]),
        "CodeMakesNoInterfaces": (INTERFACE_ACTIONS, ["*"]),
    },
    "SchedulerRole": {
        "Start": ({"lambda:InvokeFunction"}, None),
        "GiveUp": ({"sqs:SendMessage"}, [{"Fn::GetAtt": "DeadLetters.Arn"}]),
        "UseKey": (KEY_ACTIONS, [{"Ref": "KmsKeyArn"}]),
    },
}
MANAGED_POLICIES = {
    "LoadRole": {"Fn::If": ["WarehouseHasPolicy", [{"Ref": "WarehousePolicyArn"}], {"Ref": "AWS::NoValue"}]},
}
CONDITIONAL = {
    "ExtractRole": {"UseKey": "KeyIsGiven"},
    "LoadRole": {
        "ReadCredential": "WarehouseHasSecret", "JoinVpc": "LoadIsInVpc", "CodeMakesNoInterfaces": "LoadIsInVpc",
        "UseKey": "KeyIsGiven",
    },
    "SchedulerRole": {"UseKey": "KeyIsGiven"},
}

ENVIRONMENT = {
    "STACK": {"Ref": "AWS::StackName"},
    "STATE_TABLE": {"Ref": "State"},
    "BUCKET": {"Ref": "Staged"},
    "SCHEMA": {"Ref": "Schema"},
    "COLLECTIONS": {"Ref": "Collections"},
    "MAX_CONTINUATIONS": {"Ref": "MaxContinuations"},
    "RUST_LOG": {"Ref": "LogLevel"},
    "OTEL_EXPORTER_OTLP_ENDPOINT": {"Ref": "OtlpEndpoint"},
}
EXTRACT_ENVIRONMENT = {
    "PROPERTY_HISTORY": {"Ref": "PropertyHistory"},
    "HUBSPOT_URL": {"Ref": "HubSpotUrl"},
    "HUBSPOT_SECRET_ARN": {"Ref": "HubSpotSecret"},
    "RESERVE_PERCENT": {"Ref": "ReservePercent"},
    "STAGED_CODEC": {"Ref": "StagedCodec"},
    "FULL_REFRESH_MINUTES": {"Fn::If": ["ReadsOften", 150, 0]},
}
LOAD_ENVIRONMENT = {
    "WAREHOUSE_URL": {"Ref": "WarehouseUrl"},
    "WAREHOUSE_SECRET_ARN": {"Ref": "WarehouseSecretArn"},
    "HARD_DELETE": {"Ref": "HardDelete"},
    "FORGET_DELETED": {"Ref": "ForgetDeleted"},
    "PSEUDONYMISE": {"Ref": "Pseudonymise"},
    "HISTORY": {"Ref": "History"},
    "COMPAT": {"Ref": "Compat"},
    "STAGED_DAYS": {"Ref": "StagedDays"},
}
