# Where the release's files are, and where they go in S3: each under a key with its checksum, so that a new release is a
# change of the stack, and the same one is none. No value here needs AWS, and tests/deploy/terraform.py evaluates them all.

variable "name" {
  type        = string
  description = "Name of the stack, and the beginning of its functions' names."
  nullable    = false
}

variable "artifacts_bucket" {
  type        = string
  description = "An S3 bucket that exists, in the region of the stack: for the functions' code and the template."
  nullable    = false
}

variable "artifacts_prefix" {
  type        = string
  default     = "hubspot-source/"
  description = "What the keys of these files begin with."
  nullable    = false
}

variable "release_folder" {
  type        = string
  default     = null
  description = "Folder with the release's template.yaml and zips; the one above this module if null, as in the release's archive."
}

variable "tags" {
  type        = map(string)
  default     = {}
  description = "Tags of the stack and of its resources."
  nullable    = false
}

locals {
  folder = coalesce(var.release_folder, "${path.module}/..")
  # One processor in a folder: two zips of a function are an error.
  zips = {
    for function in ["extract", "load"] : function => one(fileset(local.folder, "hubspot-source-${function}-*.zip"))
  }
  keys = {
    for function, zip in local.zips :
    function => "${var.artifacts_prefix}${function}-${filesha256("${local.folder}/${zip}")}.zip"
  }
  # What `sam package` does: S3 objects in the place of files.
  template = replace(
    replace(
      file("${local.folder}/template.yaml"),
      "CodeUri: ${local.zips.extract}", "CodeUri: s3://${var.artifacts_bucket}/${local.keys.extract}"
    ),
    "CodeUri: ${local.zips.load}", "CodeUri: s3://${var.artifacts_bucket}/${local.keys.load}"
  )
  template_key = "${var.artifacts_prefix}template-${sha256(local.template)}.yaml"
}
