# Written by `make generate` from the template of the stack: change that, not this file.

output "hubspot_secret_arn" {
  description = "Give it its value by aws secretsmanager put-secret-value --secret-id <this ARN> --secret-string <token>"
  value       = try(aws_cloudformation_stack.this.outputs["HubSpotSecretArn"], null)
}

output "queries_url" {
  description = "Saved queries of Logs Insights, in the folder of the stack's name, about runs, rows, calls and cost"
  value       = try(aws_cloudformation_stack.this.outputs["QueriesUrl"], null)
}

output "dashboard_url" {
  description = "Rows, calls, lag and cost"
  value       = try(aws_cloudformation_stack.this.outputs["DashboardUrl"], null)
}

output "state_table" {
  description = "Cursors, leases and the list of staged files"
  value       = try(aws_cloudformation_stack.this.outputs["StateTable"], null)
}

output "bucket" {
  description = "Staged files"
  value       = try(aws_cloudformation_stack.this.outputs["Bucket"], null)
}

output "dead_letters_url" {
  description = "Queue of the events that were given up"
  value       = try(aws_cloudformation_stack.this.outputs["DeadLettersUrl"], null)
}
