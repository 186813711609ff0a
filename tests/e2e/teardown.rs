//! The lab leaves nothing behind, not even when it was killed while it came up.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use defib_lab::layout::CGROUP;
use defib_lab::{Node, Part, Place};

use crate::support::{self, Stage, await_that};

/// Takes the shared lab down, so it comes last; the lab of somebody else is left alone.
pub(crate) fn killed_up(stage: &Stage) {
    assert!(
        support::raised(),
        "this test takes the lab down, and the one that is up is not ours: `defib-lab down` first"
    );
    support::lower();
    assert_eq!(remains(stage), Vec::<String>::new(), "after `down`");

    let program = defib_lab::program().unwrap();
    let mut up = Command::new(&program).arg("up").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    await_that("a kubelet runs", Duration::from_secs(60), || stage.lab.runs(Node::Cp1, Part::Kubelet));
    up.kill().unwrap();
    up.wait().unwrap();
    assert_ne!(remains(stage), Vec::<String>::new(), "there was something to clear away");

    assert!(Command::new(&program).arg("down").stdout(Stdio::null()).status().unwrap().success());
    assert_eq!(remains(stage), Vec::<String>::new(), "after `down` of what was killed");
}

/// Mounts, cgroups, namespaces and processes of the lab.
fn remains(stage: &Stage) -> Vec<String> {
    let run = stage.lab.layout().run().to_string_lossy().into_owned();
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    let mut found: Vec<String> = mounts.lines().filter(|line| line.contains(&run)).map(str::to_owned).collect();
    let hierarchies = std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path());
    let cgroups = hierarchies.chain([Path::new("/sys/fs/cgroup").to_owned()]).map(|hierarchy| hierarchy.join(CGROUP));
    found.extend(cgroups.filter(|cgroup| cgroup.exists()).map(|cgroup| cgroup.display().to_string()));
    let namespaces = Place::ALL.map(|place| stage.lab.layout().namespace(place));
    found.extend(namespaces.iter().filter(|file| file.exists()).map(|file| file.display().to_string()));
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.contains(&format!("{run}/")) {
            found.push(command);
        }
    }
    found
}
