//! `deploy/terraform/parameters.tf` and `outputs.tf`: the template's parameters as variables of a Terraform module, and
//! its outputs. They are read from the text of the template, which is ours and has one form for each.

/// The parameter that a release has one value for: the processor of the zips beside its template.
const FIXED: &str = "Architecture";
const ORIGIN: &str =
    "# Written by `make generate` from the template of the stack: change that, not this file.\n";

#[derive(Debug, Default, PartialEq)]
struct Parameter {
    name: String,
    kind: Kind,
    default: Option<String>,
    allowed: Vec<String>,
    description: String,
}

#[derive(Debug, Default, PartialEq, Clone, Copy)]
enum Kind {
    #[default]
    Text,
    Number,
    List,
}

/// Returns the module's variables, and the map of the stack's parameters.
pub(super) fn parameters(template: &str) -> String {
    let parameters = entries(template, "Parameters:").into_iter().map(parameter);
    let parameters: Vec<Parameter> = parameters.filter(|parameter| parameter.name != FIXED).collect();
    let variables: String = parameters.iter().map(variable).collect();
    let width = parameters.iter().map(|parameter| parameter.name.len()).max().unwrap_or(0);
    let mut values = String::new();
    for Parameter { name, kind, .. } in &parameters {
        let variable = snake_case(name);
        let value = match kind {
            Kind::Text => format!("var.{variable}"),
            Kind::Number => format!("tostring(var.{variable})"),
            Kind::List => format!("join(\",\", var.{variable})"),
        };
        values.push_str(&format!("    {name:width$} = {value}\n"));
    }
    format!("{ORIGIN}{variables}\nlocals {{\n  parameters = {{\n{values}  }}\n}}\n")
}

/// Returns the module's outputs. One that the stack lacks, as that of a dashboard which is off, is null.
pub(super) fn outputs(template: &str) -> String {
    let mut text = ORIGIN.to_owned();
    for (name, lines) in entries(template, "Outputs:") {
        let description = quoted(&field(&lines, "Description").unwrap_or_default());
        text.push_str(&format!(
            "\noutput \"{}\" {{\n  description = {description}\n  value       = try(aws_cloudformation_stack.this.outputs[\"\
             {name}\"], null)\n}}\n",
            snake_case(name)
        ));
    }
    text
}

/// The entries of a section of the template: names, and the lines below each.
fn entries<'a>(template: &'a str, section: &str) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    let lines = template.lines().skip_while(|line| *line != section).skip(1);
    for line in lines.take_while(|line| line.is_empty() || line.starts_with(' ')) {
        match line.strip_prefix("  ") {
            Some(name) if !name.starts_with(' ') && !name.starts_with('#') => {
                found.push((name.trim_end_matches(':'), Vec::new()));
            }
            Some(rest) => found.last_mut().into_iter().for_each(|(_, lines)| lines.push(rest)),
            None => {}
        }
    }
    found
}

fn parameter((name, lines): (&str, Vec<&str>)) -> Parameter {
    let allowed = field(&lines, "AllowedValues");
    let allowed = allowed.iter().flat_map(|text| text.trim_matches(['[', ']']).split(", "));
    Parameter {
        name: name.to_owned(),
        kind: match field(&lines, "Type").as_deref() {
            Some("Number") => Kind::Number,
            Some("CommaDelimitedList") => Kind::List,
            _ => Kind::Text,
        },
        default: field(&lines, "Default"),
        allowed: allowed.map(unquoted).collect(),
        description: field(&lines, "Description").unwrap_or_default(),
    }
}

/// Returns the value of a field, which stands behind its name or, folded, below it.
fn field(lines: &[&str], name: &str) -> Option<String> {
    let mut lines = lines.iter().skip_while(|line| !line.starts_with(&format!("  {name}:")));
    let value = lines.next()?.split_once(": ")?.1;
    if value != ">-" {
        return Some(unquoted(value));
    }
    let folded: Vec<&str> =
        lines.take_while(|line| line.starts_with("    ")).map(|line| line.trim()).collect();
    Some(folded.join(" "))
}

fn unquoted(value: &str) -> String {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value).to_owned()
}

fn variable(parameter: &Parameter) -> String {
    let Parameter { name, kind, default, allowed, description } = parameter;
    let name = snake_case(name);
    let literal = |value: &str| match kind {
        Kind::Number => value.to_owned(),
        _ => quoted(value),
    };
    let default = match (default.as_deref(), kind) {
        (None, _) => String::new(),
        (Some(""), Kind::List) => "  default     = []\n".to_owned(),
        (Some(value), _) => format!("  default     = {}\n", literal(value)),
    };
    let kind = match kind {
        Kind::Text => "string",
        Kind::Number => "number",
        Kind::List => "list(string)",
    };
    let check = if allowed.is_empty() {
        String::new()
    } else {
        let values: Vec<String> = allowed.iter().map(|value| literal(value)).collect();
        let named: Vec<&str> =
            allowed.iter().map(|value| if value.is_empty() { "nothing" } else { value }).collect();
        format!(
            "\n  validation {{\n    condition     = contains([{}], var.{name})\n    error_message = {}\n  }}\n",
            values.join(", "),
            quoted(&format!("One of {}.", named.join(", ")))
        )
    };
    let description = quoted(description);
    format!(
        "\nvariable \"{name}\" {{\n  type        = {kind}\n{default}  description = {description}\n  nullable    = false\n\
         {check}}}\n"
    )
}

/// Returns a text as Terraform's language quotes it.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace("${", "$${").replace("%{", "%%{"))
}

/// Returns the name of a parameter as Terraform writes names: `warehouse_url` for `WarehouseUrl`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    // HubSpot is one word.
    for letter in name.replace("HubSpot", "Hubspot").chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "\
Parameters:
  HubSpotUrl:
    Type: String
    Default: https://api.hubapi.com
    Description: >-
      HubSpot's \"API\", or
      ${a} stand-in.
  Days:
    Type: Number
    Default: 30
    AllowedValues: [1, 30]
    Description: Days.
  SubnetIds:
    Type: CommaDelimitedList
    Default: \"\"
    Description: Subnets.
  Dashboard:
    Type: String
    Default: \"off\"
    AllowedValues: [\"on\", \"off\"]
    Description: A dashboard.
  Compat:
    Type: String
    Default: \"\"
    AllowedValues: [\"\", fivetran]
    Description: Views.
  Architecture:
    Type: String
    Description: Processor.

Conditions:
  KeyIsGiven: true
Outputs:
  DashboardUrl:
    Condition: DashboardIsOn
    Description: Rows
    Value: !Ref Dashboard
";

    #[test]
    fn each_kind_of_parameter_is_a_variable_and_a_text_in_the_map() {
        insta::assert_snapshot!(parameters(TEMPLATE));
    }

    #[test]
    fn an_output_that_the_stack_lacks_is_null() {
        insta::assert_snapshot!(outputs(TEMPLATE));
    }

    #[test]
    fn names_are_words_in_lower_case() {
        assert_eq!(["KmsKeyArn", "HubSpotSecretArn"].map(snake_case), ["kms_key_arn", "hubspot_secret_arn"]);
    }
}
