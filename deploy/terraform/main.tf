# The stack of a release, in an AWS account: CloudFormation makes its resources from the template in the release's folder, so
# that there is no second description of them. Here are the files that it needs in S3, and the stack itself.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

data "aws_s3_bucket" "artifacts" {
  bucket = var.artifacts_bucket
}

resource "aws_s3_object" "code" {
  for_each = local.keys
  bucket   = var.artifacts_bucket
  key      = each.value
  source   = "${local.folder}/${local.zips[each.key]}"

  # The code of the version before stays until the stack has the new one, for CloudFormation's way back.
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_s3_object" "template" {
  bucket  = var.artifacts_bucket
  key     = local.template_key
  content = local.template

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_cloudformation_stack" "this" {
  name = var.name
  # The template is longer than what CloudFormation takes in a call.
  template_url = "https://${data.aws_s3_bucket.artifacts.bucket_regional_domain_name}/${aws_s3_object.template.key}"
  parameters   = local.parameters
  # It makes roles, and has a transform.
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
  tags         = var.tags

  depends_on = [aws_s3_object.code]
}
