//! `defib playbook`: what could be done, and whether what was written is right. Asks nobody, changes nothing.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use defib_engine::playbook::Playbook;
use defib_engine::time::Human;
use serde_json::{Value, json};

use super::{CONFIG, Exit, Output, error_line, out, out_json};
use crate::config::{self, Config};
use crate::playbook::{self, SHIPPED, Sheet};
use crate::yaml::{Problems, suggestion};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    defib playbook list\n  \
    defib playbook show restart-kubelet > mine/restart-kubelet.yaml\n  \
    defib playbook lint mine/\n  \
    defib playbook schema > playbook.schema.json\n\n\
    Exit codes: 0 done, or nothing is wrong; 2 misuse, or something is wrong")]
pub(super) struct Typed {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Name every playbook: what calls for it, what it does, where it is armed
    List {
        /// How it is written.
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Print a playbook as it was written, with its reasons
    Show {
        /// Which.
        name: String,
    },
    /// Tell everything that is wrong with playbooks, each with its place
    ///
    /// Each by itself, and together with the shipped ones: ladders, and two that answer one finding.
    Lint {
        /// Files, or folders of them; the configuration's folder where none is named.
        files: Vec<PathBuf>,
    },
    /// Print the JSON Schema of a playbook, for editors
    Schema,
}

pub(super) fn main(typed: &Typed, config: &Path) -> Exit {
    let done = match &typed.what {
        What::Schema => return out_json(&playbook::schema()),
        What::Lint { files } => lint(files, config),
        What::List { output } => loaded(config).map(|(config, sheets)| list(*output, config.as_ref(), &sheets)),
        What::Show { name } => loaded(config).map(|(_, sheets)| show(name, &sheets)),
    };
    done.unwrap_or_else(|problems| {
        error_line(&problems.to_string());
        Exit::Misuse
    })
}

/// The configuration, where there is one: without it the shipped playbooks are all there are.
fn configuration(file: &Path) -> Result<Option<Config>, Problems> {
    if file == Path::new(CONFIG) && !file.exists() { Ok(None) } else { config::read(file).map(Some) }
}

fn loaded(file: &Path) -> Result<(Option<Config>, Vec<Sheet>), Problems> {
    let config = configuration(file)?;
    let folder = config.as_ref().and_then(|config| config.playbooks.as_deref());
    let sheets = playbook::load_sheets(SHIPPED, folder.as_slice())?;
    Ok((config, sheets))
}

fn lint(files: &[PathBuf], file: &Path) -> Result<Exit, Problems> {
    let mut places: Vec<PathBuf> = files.to_vec();
    if files.is_empty() {
        places.extend(configuration(file)?.and_then(|config| config.playbooks));
    }
    let places: Vec<&Path> = places.iter().map(PathBuf::as_path).collect();
    let sheets = playbook::load_sheets(SHIPPED, &places)?;
    let own = sheets.iter().filter(|sheet| !sheet.is_shipped()).count();
    out(&format!("nothing is wrong: {own} own playbooks, {} shipped ones", sheets.len() - own));
    Ok(Exit::Well)
}

fn show(name: &str, sheets: &[Sheet]) -> Exit {
    let Some(sheet) = sheets.iter().find(|sheet| sheet.playbook.name == name) else {
        let names: Vec<&str> = sheets.iter().map(|sheet| sheet.playbook.name.as_str()).collect();
        let hint = suggestion(name, names.iter().copied());
        error_line(&format!("defib: no playbook {name}; there are {}{hint}", names.join(", ")));
        return Exit::Misuse;
    };
    out(sheet.playbook.text.trim_end());
    Exit::Well
}

fn list(output: Output, config: Option<&Config>, sheets: &[Sheet]) -> Exit {
    let armed = |playbook: &Playbook| -> Vec<&str> {
        let clusters = config.map(|config| config.clusters.as_slice()).unwrap_or_default();
        clusters.iter().filter(|one| one.arm.contains(&playbook.name)).map(|one| one.name.as_str()).collect()
    };
    if output == Output::Json {
        let one = |sheet: &Sheet| -> Value {
            let playbook = &sheet.playbook;
            json!({
                "name": playbook.name,
                "file": sheet.file,
                "finding": playbook.when.finding.name,
                "for_ms": u64::try_from(playbook.when.for_.as_millis()).unwrap_or(u64::MAX),
                "class": playbook.class().to_string(),
                "steps": playbook.steps.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "otherwise": playbook.otherwise,
                "armed": armed(playbook),
            })
        };
        return out_json(&json!({ "playbooks": sheets.iter().map(one).collect::<Vec<_>>() }));
    }
    for sheet in sheets {
        let playbook = &sheet.playbook;
        let steps: Vec<String> = playbook.steps.iter().map(ToString::to_string).collect();
        let (when, class) = (&playbook.when, playbook.class());
        out(&format!("{} ({class})", playbook.name));
        out(&format!("  when       {} for {}", when.finding.name, Human(when.for_)));
        out(&format!("  does       {}", steps.join(", then ")));
        out(&format!("  otherwise  {}", playbook.otherwise.as_deref().unwrap_or("notify")));
        let armed = armed(playbook);
        let armed = match (config, armed.is_empty()) {
            (None, _) => "no configuration here arms it".to_owned(),
            (Some(_), true) => "nowhere".to_owned(),
            (Some(_), false) => armed.join(", "),
        };
        out(&format!("  armed      {armed}"));
        if !sheet.is_shipped() {
            out(&format!("  file       {}", sheet.file.display()));
        }
    }
    Exit::Well
}
