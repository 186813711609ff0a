//! The one image of the lab: a program of thirty bytes that waits, for sandboxes; and an empty root for everything else.
//!
//! The real programs are mounted into their containers from the machine, as static pods mount their certificates: three
//! nodes then share one copy on disk and in memory, and nothing of a hundred megabytes is packed or unpacked. The waiting
//! program is machine code written out here, so that no compiler is needed. A sandbox ends by SIGKILL; it has no signal
//! to handle.

use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

/// The names under which the image is imported: the sandbox's and those of the pods.
pub(crate) const NAMES: [&str; 3] =
    ["docker.io/lab/pause:1", "docker.io/lab/kube-apiserver:1", "docker.io/lab/kube-controller-manager:1"];

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The machine's processor is not one for which the waiting program is written.
    #[error("the lab has no pause program for {0}: x86_64 and aarch64 are known")]
    Architecture(&'static str),
    /// It could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Writes the image as a tar of an OCI layout, as `ctr images import` takes it.
pub(crate) fn write(path: &Path) -> Result<(), ImageError> {
    let (machine, architecture, code) = waiting()?;
    let layer = Tar::default().file("pause", 0o755, &elf(machine, &code)).folder("tmp", 0o1777).end();
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": { "Entrypoint": ["/pause"] },
        "rootfs": { "type": "layers", "diff_ids": [name(&layer)] },
    })
    .to_string()
    .into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor(&config, "config.v1+json"),
        "layers": [descriptor(&layer, "layer.v1.tar")],
    })
    .to_string()
    .into_bytes();
    let named = NAMES.map(|image| {
        let mut entry = descriptor(&manifest, "manifest.v1+json");
        entry["annotations"] = json!({ "io.containerd.image.name": image });
        entry
    });
    let index = json!({ "schemaVersion": 2, "manifests": named }).to_string();
    let mut tar = Tar::default().file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#).file(
        "index.json",
        0o644,
        index.as_bytes(),
    );
    for blob in [&config, &manifest, &layer] {
        tar = tar.file(&format!("blobs/{}", name(blob).replace(':', "/")), 0o644, blob);
    }
    std::fs::write(path, tar.end()).map_err(|source| ImageError::Write { path: path.to_owned(), source })
}

/// The processor's number in an ELF header, its name in an image, and code that calls `pause` (or `ppoll` on nothing)
/// for ever.
fn waiting() -> Result<(u16, &'static str, Vec<u8>), ImageError> {
    match std::env::consts::ARCH {
        "x86_64" => Ok((62, "amd64", vec![0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7])),
        "aarch64" => {
            let words: [u32; 8] = [
                0xd280_0000,
                0xd280_0001,
                0xd280_0002,
                0xd280_0003,
                0xd280_0004,
                0xd280_0928,
                0xd400_0001,
                0x17ff_fff9,
            ];
            Ok((183, "arm64", words.iter().flat_map(|word| word.to_le_bytes()).collect()))
        }
        other => Err(ImageError::Architecture(other)),
    }
}

/// A static program of one loaded segment: header, segment table, code.
fn elf(machine: u16, code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let size = HEADERS + code.len() as u64;
    let mut out = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let halves = |out: &mut Vec<u8>, values: &[u16]| values.iter().for_each(|v| out.extend(v.to_le_bytes()));
    let words = |out: &mut Vec<u8>, values: &[u32]| values.iter().for_each(|v| out.extend(v.to_le_bytes()));
    let longs = |out: &mut Vec<u8>, values: &[u64]| values.iter().for_each(|v| out.extend(v.to_le_bytes()));
    halves(&mut out, &[2, machine]);
    words(&mut out, &[1]);
    longs(&mut out, &[BASE + HEADERS, 64, 0]);
    words(&mut out, &[0]);
    halves(&mut out, &[64, 56, 1, 64, 0, 0]);
    words(&mut out, &[1, 5]);
    longs(&mut out, &[0, BASE, BASE, size, size, 0x1000]);
    out.extend(code);
    out
}

fn name(blob: &[u8]) -> String {
    format!("sha256:{}", hex(digest(&SHA256, blob).as_ref()))
}

/// Bytes as lowercase hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn descriptor(blob: &[u8], kind: &str) -> Value {
    json!({ "mediaType": format!("application/vnd.oci.image.{kind}"), "digest": name(blob), "size": blob.len() })
}

/// A ustar archive, as far as an image needs one.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn file(self, path: &str, mode: u32, content: &[u8]) -> Self {
        let mut tar = self.entry(path, mode, b'0', content.len());
        tar.0.extend(content);
        tar.0.resize(tar.0.len().next_multiple_of(512), 0);
        tar
    }

    fn folder(self, path: &str, mode: u32) -> Self {
        self.entry(path, mode, b'5', 0)
    }

    fn entry(mut self, path: &str, mode: u32, kind: u8, size: usize) -> Self {
        let mut header = [0_u8; 512];
        let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, path);
        put(100, &format!("{mode:07o}"));
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{size:011o}"));
        put(136, "00000000000");
        put(148, "        ");
        put(257, "ustar");
        put(263, "00");
        header[156] = kind;
        let sum: u32 = header.iter().copied().map(u32::from).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        self.0.extend(header);
        self
    }

    /// Two empty blocks end an archive.
    fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}
