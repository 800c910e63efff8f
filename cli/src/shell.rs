//! Completions for shells, and manual pages, made from the list of commands.

use anyhow::Context;
use clap::CommandFactory;
use clap_mangen::Man;

use crate::args::{self, Args};
use crate::print::print;

const PROGRAM: &str = "hubspot-source";

/// Prints what completes the command line in a shell. `true`.
pub(crate) fn completions(args: &args::Completions) -> anyhow::Result<bool> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), PROGRAM, &mut script);
    // For bash, clap_complete 4.6 takes the hyphen in the program's name for the start of a subcommand's, in one of two
    // places: nothing behind the first word would be completed.
    let script = String::from_utf8(script)?.replace("hubspot__subcmd__source", "hubspot__source");
    print(script.trim_end());
    Ok(true)
}

/// Prints the manual page of the program, or writes the pages of all commands. `true`.
///
/// # Errors
/// When the folder can't be written.
pub(crate) fn man(args: &args::Man) -> anyhow::Result<bool> {
    let mut program = Args::command().disable_help_subcommand(true);
    program.build();
    let Some(folder) = &args.dir else {
        print(page(&Man::new(program))?.trim_end());
        return Ok(true);
    };
    let failed = || format!("the folder {} can't be written: choose another --dir", folder.display());
    std::fs::create_dir_all(folder).with_context(failed)?;
    let commands = program.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    for command in commands.chain([program.clone()]) {
        let man = Man::new(command);
        std::fs::write(folder.join(man.get_filename()), page(&man)?).with_context(failed)?;
    }
    Ok(true)
}

/// Renders a page; examples and exit codes stand as in the help, line by line.
fn page(man: &Man) -> anyhow::Result<String> {
    let (mut page, mut extra) = (Vec::new(), Vec::new());
    man.render(&mut page)?;
    man.render_extra_section(&mut extra)?;
    let (page, extra) = (String::from_utf8(page)?, String::from_utf8(extra)?);
    let extra = extra.find(".SH EXTRA").map_or("", |start| &extra[start..]);
    let as_it_stands = extra.replacen(".SH EXTRA\nExamples:\n", ".SH EXAMPLES\n.nf\n", 1).replacen(
        "Exit codes:\n",
        ".fi\n.SH EXIT STATUS\n.nf\n",
        1,
    );
    Ok(page.replacen(extra, &format!("{as_it_stands}.fi\n"), 1))
}
