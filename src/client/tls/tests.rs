//! Credential files: what is wrong with each, and the rereading of what changed.

use std::time::Duration;

use super::*;
use crate::client::testing::{Authority, LOOPBACK, written};

fn error(credential: &Credential) -> String {
    let error = Files::new(credential).client_config().unwrap_err();
    match super::super::Trouble::own_side(&error) {
        super::super::Trouble::Unknown(why) => why.to_string(),
        super::super::Trouble::Failed(failure) => panic!("{failure}"),
    }
}

#[test]
fn every_error_names_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let good = authority.credential(folder.path());
    Files::new(&good).client_config().unwrap();

    let missing = Credential { key: folder.path().join("absent.key"), ..good.clone() };
    let said = error(&missing);
    assert!(said.contains("absent.key") && said.contains("No such file"), "{said}");

    let noise = written(folder.path(), "noise.pem", "not at all");
    let said = error(&Credential { ca: noise, ..good.clone() });
    assert!(said.contains("noise.pem is not PEM"), "{said}");

    let said = error(&Credential { ca: good.key.clone(), ..good.clone() });
    assert!(said.contains("client.key holds no certificate"), "{said}");

    let said = error(&Credential { key: good.certificate.clone(), ..good.clone() });
    assert!(said.contains("client.crt holds no private key"), "{said}");

    let cut: String = authority.pem.chars().take(authority.pem.len() / 2).collect();
    let said = error(&Credential { ca: written(folder.path(), "cut.pem", &cut), ..good.clone() });
    assert!(said.contains("cut.pem holds broken PEM"), "{said}");

    let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let said = error(&Credential { ca: written(folder.path(), "empty.pem", empty), ..good.clone() });
    assert!(said.contains("empty.pem holds a certificate that cannot be understood"), "{said}");

    let (_, other_key) = authority.issue(LOOPBACK, 2100);
    let said = error(&Credential { key: written(folder.path(), "other.key", &other_key), ..good.clone() });
    assert!(said.contains("the key in") && said.contains("other.key"), "{said}");

    let (old, old_key) = authority.issue(LOOPBACK, 2021);
    let old = Credential {
        certificate: written(folder.path(), "old.crt", &old),
        key: written(folder.path(), "old.key", &old_key),
        ..good.clone()
    };
    let said = error(&old);
    assert!(said.contains("old.crt expired at 2021-12-31T00:00:00Z"), "{said}");

    let large = written(folder.path(), "large.pem", &"#".repeat(2 * 1024 * 1024));
    let said = error(&Credential { ca: large, ..good });
    assert!(said.contains("large.pem is larger than 1024 KiB"), "{said}");
}

#[test]
fn a_rotated_file_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let credential = authority.credential(folder.path());
    let files = Files::new(&credential);
    let first = files.client_config().unwrap();
    assert!(Arc::ptr_eq(&first, &files.client_config().unwrap()), "unchanged files are not read again");

    std::fs::write(&credential.certificate, "half written").unwrap();
    assert!(files.client_config().is_err());
    let (certificate, key) = authority.issue(LOOPBACK, 2101);
    std::fs::write(&credential.certificate, certificate).unwrap();
    std::fs::write(&credential.key, key).unwrap();
    let later = SystemTime::now() + Duration::from_secs(5);
    File::options().append(true).open(&credential.key).unwrap().set_modified(later).unwrap();
    assert!(!Arc::ptr_eq(&first, &files.client_config().unwrap()));
}

#[test]
fn the_key_is_not_shown() {
    let files = Files::from_pem("talosconfig", b"ca".to_vec(), b"crt".to_vec(), b"SECRET".to_vec());
    assert_eq!(format!("{files:?}"), "Files(\"talosconfig\")");
}
