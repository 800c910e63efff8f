"""Breaks a copy of template.yaml in one way after another, and expects check.py to see each."""

import sys

from check import ROOT, failures

# What is replaced, by what: once where it is first, so that one of the functions differs from the others, and once
# wherever it is.
MUTATIONS = [
    ("FEED: deals", "FEED: companies"),
    ("FEED: contact_lists\n", "FEED: contact_lists\n          EXTRA: x\n"),
    ("RESERVE_PERCENT: !Ref ReservePercent", "RESERVE_PERCENT: 0"),
    ("STAGED_CODEC: !Ref StagedCodec", "STAGED_CODEC: zstd"),
    ("WAREHOUSE_SECRET_ARN: !Ref WarehouseSecretArn", "WAREHOUSE_SECRET: !Ref WarehouseSecretArn"),
    ("STATE_TABLE: !Ref State", "TABLE: !Ref State"),
    ("FunctionName: !Sub ${AWS::StackName}-email_events", "FunctionName: !Sub ${AWS::StackName}-emailEvents"),
    ("LogGroupName: !Sub /aws/lambda/${AWS::StackName}-contacts", "LogGroupName: !Sub /hubspot/contacts"),
    ("LoggingConfig: {LogGroup: !Ref DealsLog}", "LoggingConfig: {LogGroup: !Ref LoadLog}"),
    ("CodeUri: functions/load", "CodeUri: ."),
    ("BuildProperties: {Binary: load}", "BuildProperties: {Binary: extract}"),
    ("RecursiveLoop: Allow", "RecursiveLoop: Terminate"),
    ("Timeout: 900", "Timeout: 300"),
    ("EventInvokeConfig: {MaximumRetryAttempts: 2}", "EventInvokeConfig: {MaximumRetryAttempts: 0}"),
    ("    DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt DeadLetters.Arn}\n", ""),
    ("CodeUri: functions/load", "CodeUri: functions/load\n      Policies: [AmazonS3FullAccess]"),
    ("CodeUri: functions/load", "CodeUri: functions/load\n      Timeout: 60"),
    ("[!Ref WarehousePolicyArn]", "[arn:aws:iam::aws:policy/AdministratorAccess]"),
    ("ManagedPolicyArns: !If [WarehouseHasPolicy,", "ManagedPolicyArns: !If [WarehouseHasSecret,"),
    ("          HISTORY: !Ref History", "          HISTORY: !Ref HardDelete"),
    ('WITHOUT_HISTORY: "contact_identities', 'WITHOUT_HISTORY: "contacts'),
    ('SEGMENT_COLLECTIONS: "contacts, ', 'SEGMENT_COLLECTIONS: "'),
    ("METADATA_COLLECTIONS: ", "METADATA: "),
    ("(?!(.*,)?(contact_identities|", "(?!(.*,)?(contacts|"),
    ("|-?[a-z0-9_]+(,-?[a-z0-9_]+)*", "|[a-z_]+(,[a-z_]+)*"),
    (", !Not [!Equals [!Ref Collections, segment]]", ""),
    ("FEED: objects", "FEED: tickets"),
    ("ScheduleExpression: rate(1 day)", "ScheduleExpression: rate(1 hour)"),
    ("State: !If [WarehouseWantsMaintenance, ENABLED, DISABLED]", "State: ENABLED"),
    (', "maintain": true', ""),
    (', "mode": "reconcile"', ""),
    ("Prefix: !Sub ${Schema}/_snapshot_", "Prefix: !Sub ${Schema}/"),
    ("ScheduleExpression: !If [RefreshIsOn, !Ref RefreshSchedule, rate(7 days)]", "ScheduleExpression: rate(7 days)"),
    ("State: !If [DealsReconcileIsOn, ENABLED, DISABLED]", "State: ENABLED"),
    ("Threshold: !Ref AlarmReconcileHours", "Threshold: !Ref AlarmLagHours"),
    ("Threshold: !Ref AlarmRefreshHours", "Threshold: !Ref AlarmReconcileHours"),
    ("    Condition: CompaniesReconcileIsOn\n", ""),
    ("State: !If [ContactsIsOn, ENABLED, DISABLED]", "State: ENABLED"),
    ("State: !If [DealsIsOn, ENABLED, DISABLED]", "State: !If [CompaniesIsOn, ENABLED, DISABLED]"),
    ("""Input: '{"trigger": "schedule"}'""", """Input: '{"trigger": "hand"}'"""),
    ("FlexibleTimeWindow: {Mode: FLEXIBLE, MaximumWindowInMinutes: 15}", "FlexibleTimeWindow: {Mode: 'OFF'}"),
    ("ScheduleExpression: !Ref LoadSchedule", "ScheduleExpression: !Ref ExtractSchedule"),
    ("        OnSchedule:\n", "        Schedule:\n"),
    ("TableName: !Sub ${AWS::StackName}-state", "TableName: !Sub ${AWS::StackName}-cursors"),
    ("AttributeName: expires_at", "AttributeName: ttl"),
    ("PointInTimeRecoveryEnabled: true", "PointInTimeRecoveryEnabled: false"),
    ("DeletionProtectionEnabled: true", "DeletionProtectionEnabled: false"),
    ("    DeletionPolicy: Retain\n", ""),
    ("UpdateReplacePolicy: Retain", "UpdateReplacePolicy: Delete"),
    ("RestrictPublicBuckets: true", "RestrictPublicBuckets: false"),
    ("AbortIncompleteMultipartUpload: {DaysAfterInitiation: 1}", "AbortIncompleteMultipartUpload: {DaysAfterInitiation: 7}"),
    ("            ExpiredObjectDeleteMarker: true", "            ExpirationInDays: 365"),
    ('aws:SecureTransport: "false"', 'aws:SecureTransport: "true"'),
    ("                  - dynamodb:UpdateItem\n", "                  - dynamodb:UpdateItem\n                  - dynamodb:Scan\n"),
    ("                  - dynamodb:ConditionCheckItem\n", ""),
    ("Action: s3:GetObject", "Action: s3:Get*"),
    ("Resource: !Sub ${Staged.Arn}/*", 'Resource: "*"'),
    ("                Resource: !Ref HubSpotSecret", '                Resource: "*"'),
    ("                - WarehouseHasSecret\n", "                - LoadIsInVpc\n"),
    ("Effect: Deny\n                  Action:", "Effect: Allow\n                  Action:"),
    ("                  - !GetAtt Load.Arn\n", ""),
    ("              - Sid: Trace\n                Effect: Allow", "              - Sid: Trace\n                Effect: Deny"),
    ("    Properties:\n      AssumeRolePolicyDocument:",
     "    Properties:\n      ManagedPolicyArns: [arn:aws:iam::aws:policy/AdministratorAccess]\n      AssumeRolePolicyDocument:"),
    ("              - Sid: FindFiles\n", "              - Sid: ReadFiles\n"),
    ("LogRetentionDays, LogLevel]", "LogRetentionDays]"),
    ("RUST_LOG: !Ref LogLevel", "RUST_LOG: info"),
    ("  LoadMemory:\n    Type: Number\n    Default: 512", "  LoadMemory:\n    Type: Number\n    Default: 1024"),
    ("    Description: HubSpot's API, or a stand-in for it.\n", ""),
    ("MetricName: FailedRuns", "MetricName: Failures"),
    ("              MetricName: LagSeconds", "              MetricName: Rows"),
    ("{Name: Function, Value: email_events}", "{Name: Function, Value: email_event}"),
    ("    Condition: CompaniesIsOn\n", ""),
    ("TreatMissingData: breaching", "TreatMissingData: notBreaching"),
    ("      OKActions: [!Ref Alarms]\n", ""),
    ("FILL(lag, 604800)", "lag"),
    ("      Threshold: 90\n", "      Threshold: 100\n"),
    ("EvaluationPeriods: !Ref AlarmLagHours", "EvaluationPeriods: 3"),
    ("MAX(DailyCallsUsedPercent)", "MAX(DailyCalls)"),
    ("AlarmName: !Sub ${AWS::StackName}-dead-letters", "AlarmName: !Sub ${AWS::StackName}-dlq"),
    ('MetricName=\\"RefusedCalls\\"', 'MetricName=\\"Refused\\"'),
    ('"x": 12, "y": 4,', '"x": 6, "y": 4,'),
    (':alarm:${AWS::StackName}-deals-failed"', ':alarm:${AWS::StackName}-deals-behind"'),
    ('"start": "-P7D",', '"start": "-P7D"'),
    ('- {id: CKV_AWS_117, comment: "It calls HubSpot on the internet, and nothing in a private network"}', "- {id: CKV_AWS_117}"),
    ("  DeadLettersUrl:\n", "  QueueUrl:\n"),
    ("Metadata:\n", "Metadata:\n  checkov: {skip: [{id: CKV_AWS_18, comment: for all there is}]}\n"),
    ("  DealsLog:\n", "  CompaniesLog:\n"),
]


def main():
    text = (ROOT / "template.yaml").read_text()
    unseen = [f"is not in the template: {old!r}" for old, _ in MUTATIONS if old not in text]
    for count in (1, -1):
        unseen += [f"is not seen: {change}" for change in MUTATIONS if not failures(text.replace(*change, count))]
    for line in unseen:
        print(line)
    print(f"{len(MUTATIONS)} mutations, {len(unseen)} unseen")
    sys.exit(1 if unseen else 0)


if __name__ == "__main__":
    main()
