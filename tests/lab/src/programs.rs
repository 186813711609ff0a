//! The programs of the control plane: found where somebody has them, else built from the Go modules that publish them.
//!
//! Looked for in `KUBEBUILDER_ASSETS`, then on the PATH, then in a cache folder of the user's, named by what goes into a
//! build, so that a build is made once and never mixed up with another. A program of a version for which the lab is not
//! written, or one that is not static (it would not start in an image that holds nothing else), is refused, which is
//! said, and the cache used. The cache appears whole or not at all. Left out: deleting old builds.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ring::digest::{SHA256, digest};

use crate::node::image::hex;
use crate::system::process::{is_program, on_path};

/// How often a build says that it still goes on.
const STILL_BUILDING: Duration = Duration::from_secs(10);
/// How often a build is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Why a program is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum ProgramsError {
    /// There is neither the program nor a Go to build it.
    #[error(
        "{programs} are neither in KUBEBUILDER_ASSETS nor on the PATH, and building them needs `go`, which is missing"
    )]
    NoGo {
        /// What is missing.
        programs: String,
    },
    /// There is no folder for a cache.
    #[error("neither XDG_CACHE_HOME nor HOME is set, so there is no folder for what is built")]
    NoCache,
    /// A file of the build could not be written.
    #[error("cannot write {}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Go could not be run.
    #[error("cannot run `go`")]
    Run(#[source] std::io::Error),
    /// Go did not build.
    #[error("building {what} failed; what go said is in {}", log.display())]
    Build {
        /// What was built.
        what: String,
        /// Go's own words.
        log: PathBuf,
    },
}

/// Programs that are built together.
struct Family {
    name: &'static str,
    /// The version that is built.
    version: &'static str,
    /// How long a build takes on two cores, in words.
    usual: &'static str,
    module: &'static str,
    sums: &'static str,
    flags: &'static str,
    programs: &'static [Wanted],
    accepts: fn(u32, u32) -> bool,
    accepted: &'static str,
}

struct Wanted {
    name: &'static str,
    package: &'static str,
}

const FAMILIES: [Family; 2] = [
    Family {
        name: "etcd",
        version: "3.6.16",
        usual: "half a minute",
        module: include_str!("../programs/etcd/go.mod"),
        sums: include_str!("../programs/etcd/go.sum"),
        flags: "-s -w",
        programs: &[Wanted { name: "etcd", package: "go.etcd.io/etcd/server/v3" }],
        accepts: |major, _| major == 3,
        accepted: "3.x",
    },
    Family {
        name: "Kubernetes",
        version: "1.34.4",
        usual: "six minutes",
        module: include_str!("../programs/kubernetes/go.mod"),
        sums: include_str!("../programs/kubernetes/go.sum"),
        flags: "-s -w -X k8s.io/component-base/version.gitVersion=v1.34.4 \
                -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34",
        programs: &[
            Wanted { name: "kube-apiserver", package: "k8s.io/kubernetes/cmd/kube-apiserver" },
            Wanted { name: "kube-controller-manager", package: "k8s.io/kubernetes/cmd/kube-controller-manager" },
            Wanted { name: "kubelet", package: "k8s.io/kubernetes/cmd/kubelet" },
        ],
        accepts: |major, minor| major == 1 && (31..=35).contains(&minor),
        accepted: "1.31 to 1.35",
    },
];

/// A program that is there.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Its version, without a `v`.
    pub version: String,
    /// Its file.
    pub path: PathBuf,
    /// Where it was found: `KUBEBUILDER_ASSETS`, `PATH`, `cache`, or `built`.
    pub from: String,
}

/// Finds every program, and builds what is missing. Tells `say` what it found and how a build goes on.
pub fn provide(say: &dyn Fn(&str)) -> Result<Vec<Program>, ProgramsError> {
    let mut all = Vec::new();
    for family in &FAMILIES {
        let mut built = None;
        for wanted in family.programs {
            let program = match family.at_hand(wanted, say) {
                Some(program) => program,
                None => {
                    if built.is_none() {
                        built = Some(family.cached(say)?);
                    }
                    let (folder, from) = built.as_ref().map_or((Path::new(""), ""), |(folder, from)| (folder, from));
                    Program {
                        name: wanted.name.to_owned(),
                        version: family.version.to_owned(),
                        path: folder.join(wanted.name),
                        from: (*from).to_owned(),
                    }
                }
            };
            say(&format!("{} {} from {} ({})", program.name, program.version, program.from, program.path.display()));
            all.push(program);
        }
    }
    Ok(all)
}

impl Family {
    fn at_hand(&self, wanted: &Wanted, say: &dyn Fn(&str)) -> Option<Program> {
        let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(|folder| PathBuf::from(folder).join(wanted.name));
        let places = [(assets.filter(|file| is_program(file)), "KUBEBUILDER_ASSETS"), (on_path(wanted.name), "PATH")];
        for (path, from) in places {
            let Some(path) = path else { continue };
            match self.judge(&path) {
                Ok(version) => {
                    return Some(Program { name: wanted.name.to_owned(), version, path, from: from.to_owned() });
                }
                Err(why) => say(&format!("{} from {from} is not used: {why}", wanted.name)),
            }
        }
        None
    }

    /// The program's version, or why the lab does not take it.
    fn judge(&self, path: &Path) -> Result<String, String> {
        let output = Command::new(path).arg("--version").stdin(Stdio::null()).output();
        let output = output.map_err(|e| format!("it does not run: {e}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let Some((version, major, minor)) = version_in(&text) else {
            return Err("it does not say its version".to_owned());
        };
        if !(self.accepts)(major, minor) {
            return Err(format!("it is {} {version}, and the lab is written for {}", self.name, self.accepted));
        }
        let head = read_head(path).map_err(|e| format!("it cannot be read: {e}"))?;
        if names_a_loader(&head) {
            return Err("it is linked dynamically, and would not start in an image that holds nothing else".to_owned());
        }
        Ok(version)
    }

    /// The folder of the build's programs, and whether it was there or has been made.
    fn cached(&self, say: &dyn Fn(&str)) -> Result<(PathBuf, &'static str), ProgramsError> {
        let mut input = Vec::new();
        for part in [self.module, self.sums, self.flags] {
            input.extend(part.as_bytes());
            input.push(0);
        }
        let hash = hex(&digest(&SHA256, &input).as_ref()[..8]);
        let cache = cache_folder()?;
        let folder = cache.join(&hash);
        if self.programs.iter().all(|wanted| is_program(&folder.join(wanted.name))) {
            return Ok((folder, "cache"));
        }
        let go = on_path("go").ok_or_else(|| {
            let names: Vec<&str> = self.programs.iter().map(|wanted| wanted.name).collect();
            ProgramsError::NoGo { programs: names.join(", ") }
        })?;
        remove_abandoned(&cache, &hash);
        let work = cache.join(format!("{hash}.building-{}", std::process::id()));
        let file = |path: &Path| {
            let path = path.to_owned();
            move |source| ProgramsError::File { path, source }
        };
        let programs = work.join("programs");
        std::fs::create_dir_all(&programs).map_err(file(&programs))?;
        for (name, text) in [("go.mod", self.module), ("go.sum", self.sums)] {
            std::fs::write(work.join(name), text).map_err(file(&work.join(name)))?;
        }
        for wanted in self.programs {
            self.build(&go, wanted, &work, say)?;
        }
        match std::fs::rename(&programs, &folder) {
            // Somebody else built the same at the same time.
            Err(_) if folder.is_dir() => {}
            renamed => renamed.map_err(file(&folder))?,
        }
        std::fs::remove_dir_all(&work).map_err(file(&work))?;
        Ok((folder, "built"))
    }

    fn build(&self, go: &Path, wanted: &Wanted, work: &Path, say: &dyn Fn(&str)) -> Result<(), ProgramsError> {
        let log = work.join(format!("{}.log", wanted.name));
        let file = |source| ProgramsError::File { path: log.clone(), source };
        let output = std::fs::File::create(&log).map_err(file)?;
        let errors = output.try_clone().map_err(file)?;
        let what = format!("{} of {} {}", wanted.name, self.name, self.version);
        say(&format!("building {what} from its Go module; once, all of {} takes about {}", self.name, self.usual));
        let began = Instant::now();
        let mut child = Command::new(go)
            .current_dir(work)
            .env("CGO_ENABLED", "0")
            .args(["build", "-trimpath", "-ldflags", self.flags, "-o"])
            .arg(work.join("programs").join(wanted.name))
            .arg(wanted.package)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(ProgramsError::Run)?;
        let mut told = began;
        loop {
            if let Some(status) = child.try_wait().map_err(ProgramsError::Run)? {
                return if status.success() { Ok(()) } else { Err(ProgramsError::Build { what, log }) };
            }
            if told.elapsed() >= STILL_BUILDING {
                told = Instant::now();
                say(&format!("building {what}: {} s so far", began.elapsed().as_secs()));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

/// Takes away what a build that was killed left: its folder names the process, and that is gone. What cannot be removed
/// only takes up room.
fn remove_abandoned(cache: &Path, hash: &str) {
    for entry in std::fs::read_dir(cache).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let builder = name.strip_prefix(hash).and_then(|rest| rest.strip_prefix(".building-"));
        if builder.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn cache_folder() -> Result<PathBuf, ProgramsError> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    cache.map(|cache| cache.join("defib-lab")).ok_or(ProgramsError::NoCache)
}

/// The first `N.N.N` of a text, whole and as its first two numbers.
fn version_in(text: &str) -> Option<(String, u32, u32)> {
    let words = text.split(|c: char| c.is_whitespace() || c == ',');
    words.map(|word| word.trim_start_matches('v')).find_map(|word| {
        let mut numbers = word.split('.');
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        numbers.next().filter(|patch| patch.starts_with(|c: char| c.is_ascii_digit()))?;
        Some((word.to_owned(), major, minor))
    })
}

fn read_head(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut head = Vec::new();
    std::fs::File::open(path)?.take(4096).read_to_end(&mut head)?;
    Ok(head)
}

/// Whether a 64-bit ELF file has a segment of kind `PT_INTERP`: who loads it.
fn names_a_loader(head: &[u8]) -> bool {
    const INTERPRETER: u32 = 3;
    let half = |at: usize| head.get(at..at + 2).map_or(0, |b| usize::from(u16::from_le_bytes([b[0], b[1]])));
    let word = |at: usize| head.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let (table, size, count) = (word(32) as usize, half(54), half(56));
    (0..count).any(|number| word(table + number * size) == INTERPRETER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_the_programs_say_them() {
        let etcd = version_in("etcd Version: 3.6.16\nGit SHA: 1\nGo Version: go1.25.1\n");
        assert_eq!(etcd, Some(("3.6.16".to_owned(), 3, 6)));
        assert_eq!(version_in("Kubernetes v1.34.4\n"), Some(("1.34.4".to_owned(), 1, 34)));
        assert_eq!(version_in("no version here, 1.2"), None);
    }

    #[test]
    fn the_lab_knows_which_it_takes() {
        let [etcd, kubernetes] = &FAMILIES;
        assert!((etcd.accepts)(3, 5) && !(etcd.accepts)(2, 3));
        assert!((kubernetes.accepts)(1, 31) && !(kubernetes.accepts)(1, 36) && !(kubernetes.accepts)(2, 34));
    }
}
