//! `defib init`: from a talosconfig to a configuration to begin with, with comments that say what is missing.
//!
//! What the file says is taken from it alone; nobody is asked, so names of nodes are guesses and are marked as such.

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::{Exit, complain, error_line, out};
use crate::client::talos::{Outline, outline};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    defib init --talosconfig ~/.talos/config\n  \
    defib init --talosconfig talosconfig --context prod --output -    print it\n\n\
    Exit codes: 0 written, 2 misuse")]
pub(super) struct Typed {
    /// A talosconfig, as `talosctl` writes it
    #[arg(long, value_name = "FILE")]
    talosconfig: PathBuf,
    /// Which of its contexts; its current one where none is named
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Where the configuration is written; `-` prints it
    #[arg(short, long, value_name = "FILE", default_value = super::CONFIG)]
    output: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
}

pub(super) fn main(typed: &Typed) -> Exit {
    let outline = match outline(&typed.talosconfig, typed.context.as_deref()) {
        Ok(outline) => outline,
        Err(error) => {
            complain(&error);
            return Exit::Misuse;
        }
    };
    let text = written(&outline, &typed.talosconfig, typed.context.is_some());
    if typed.output == Path::new("-") {
        out(text.trim_end());
        return Exit::Well;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    if typed.force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let output = typed.output.display();
    match options.open(&typed.output).and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => {
            out(&format!("wrote {output}: read it, correct the nodes' names, then: defib check --config {output}"));
            Exit::Well
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            error_line(&format!("defib: {output} is there already; name another with --output, or say --force"));
            Exit::Misuse
        }
        Err(error) => {
            error_line(&format!("defib: cannot write {output}: {error}"));
            Exit::Misuse
        }
    }
}

/// The configuration with its comments.
fn written(outline: &Outline, talosconfig: &Path, named: bool) -> String {
    let given = if outline.nodes.is_empty() { &outline.endpoints } else { &outline.nodes };
    let mut addresses: Vec<IpAddr> = Vec::new();
    let mut others = Vec::new();
    for text in given {
        match text.trim_matches(['[', ']']).parse() {
            Ok(address) if !addresses.contains(&address) => addresses.push(address),
            Ok(_) => {}
            Err(_) => others.push(text.as_str()),
        }
    }
    let mut lines = vec![
        "# defib.yaml, begun by `defib init` from a talosconfig alone: nobody was asked.".to_owned(),
        "mode: observe                 # says what it would do; `act` runs the armed playbooks".to_owned(),
        "listen: 127.0.0.1:9870".to_owned(),
        "# canaries: [\"192.0.2.254:53\"]  # something outside the cluster that answers: am I myself connected?"
            .to_owned(),
        "clusters:".to_owned(),
        format!("  - name: {}", name(&outline.context)),
        "    # vip: 192.0.2.100:6443   # not in a talosconfig; without it the virtual address is not watched"
            .to_owned(),
        "    # arm: [restart-kubelet]".to_owned(),
        "    nodes:                    # the control plane alone, each at its own address".to_owned(),
    ];
    for (number, address) in addresses.iter().take(9).enumerate() {
        lines.push(format!(
            "      - {{ name: cp{}, address: \"{address}\" }}   # correct the name: the one in Kubernetes",
            number + 1
        ));
    }
    if addresses.is_empty() {
        lines.push("      # - { name: cp1, address: 192.0.2.1 }   # the talosconfig names no address".to_owned());
    }
    for other in others {
        lines.push(format!("      # {} is no address: write the node's own", other.escape_debug()));
    }
    let file = std::path::absolute(talosconfig).unwrap_or_else(|_| talosconfig.to_owned());
    let file = serde_json::Value::from(file.display().to_string());
    let context =
        if named { format!(", context: {}", serde_json::Value::from(outline.context.as_str())) } else { String::new() };
    lines.push(format!("    talos: {{ talosconfig: {file}{context} }}"));
    lines.push(
        "    # Without these the API servers and the virtual address are not asked, and etcd only through Talos:"
            .to_owned(),
    );
    lines.push("    # kubernetes: { ca: kubernetes-ca.crt, certificate: defib.crt, key: defib.key }".to_owned());
    lines.push("    # etcd: { ca: etcd-ca.crt, certificate: defib-etcd.crt, key: defib-etcd.key }".to_owned());
    lines.join("\n") + "\n"
}

/// A cluster's name is of small letters, digits, dots and dashes.
fn name(context: &str) -> String {
    let sound = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
    let name: String = context.to_ascii_lowercase().chars().map(sound).take(63).collect();
    let name = name.trim_matches(['-', '.']).to_owned();
    if name.is_empty() { "cluster".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn what_is_written_is_a_configuration() {
        let outline = Outline {
            context: "admin@Prod".to_owned(),
            endpoints: vec![
                "192.0.2.1".to_owned(),
                "192.0.2.2".to_owned(),
                "192.0.2.1".to_owned(),
                "cp.example".to_owned(),
            ],
            nodes: Vec::new(),
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("defib.yaml");
        std::fs::write(&file, written(&outline, Path::new("/tmp/a \"b\"/talosconfig"), true)).unwrap();
        let config = config::read(&file).unwrap();
        assert_eq!(config.clusters[0].name, "admin-prod");
        assert_eq!(config.clusters[0].nodes.len(), 2);
        let talos = config.clusters[0].talos.as_ref().unwrap();
        assert_eq!(talos.talosconfig, Path::new("/tmp/a \"b\"/talosconfig"));
        assert_eq!(talos.context.as_deref(), Some("admin@Prod"));
    }
}
