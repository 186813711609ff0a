//! From when and until when a certificate is valid and for which groups, read from its DER form.
//!
//! rustls checks what the other side shows and never our own certificate, yet an expired one of ours must be told apart
//! from a server that is ill. So the two dates are read here, by hand: a whole X.509 parser is not worth its weight.
//! So are the subject's organizations, which are what Talos and Kubernetes take for roles and groups.

use std::time::SystemTime;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT: u8 = 0x06;
/// 2.5.4.10, organizationName.
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
/// The forms of text in a name: UTF-8, printable, teletex, ASCII.
const TEXTS: [u8; 4] = [0x0c, 0x13, 0x14, 0x16];
/// So many organizations of one certificate are kept.
const ORGANIZATIONS_MAX: usize = 16;
const VERSION: u8 = 0xa0;

/// The end of a certificate's validity; none where the bytes are no certificate.
#[must_use]
pub fn not_after(certificate: &[u8]) -> Option<SystemTime> {
    Some(validity(certificate)?.1)
}

/// The beginning of a certificate's validity and its end; none where the bytes are no certificate.
#[must_use]
pub fn validity(certificate: &[u8]) -> Option<(SystemTime, SystemTime)> {
    let (validity, _) = tagged(from_validity(certificate)?, SEQUENCE)?;
    let (tag, from, until) = element(validity)?;
    let from = time(tag, std::str::from_utf8(from).ok()?)?;
    let (tag, until, _) = element(until)?;
    Some((from, time(tag, std::str::from_utf8(until).ok()?)?))
}

/// The organizations of a certificate's subject, in order, at most 16; none where the bytes are no certificate.
#[must_use]
pub fn organizations(certificate: &[u8]) -> Vec<String> {
    let subject = || tagged(tagged(from_validity(certificate)?, SEQUENCE)?.1, SEQUENCE);
    let mut names = subject().map(|(subject, _)| subject).unwrap_or_default();
    let mut found = Vec::new();
    // Name: a sequence of sets of { attribute, value }; several organizations may share a set.
    while let Some((mut set, rest)) = tagged(names, SET) {
        while let Some((pair, others)) = tagged(set, SEQUENCE) {
            found.extend(organization(pair));
            set = others;
        }
        names = rest;
    }
    found.truncate(ORGANIZATIONS_MAX);
    found
}

fn organization(pair: &[u8]) -> Option<String> {
    let (attribute, value) = tagged(pair, OBJECT)?;
    let (tag, text, _) = element(value)?;
    let text = std::str::from_utf8(text).ok()?;
    (attribute == ORGANIZATION && TEXTS.contains(&tag)).then(|| super::detail(text))
}

/// What follows a certificate's issuer: its validity, its subject, …
fn from_validity(certificate: &[u8]) -> Option<&[u8]> {
    // RFC 5280: Certificate { tbs { [0] version, serial, signature algorithm, issuer, validity { from, until }, … } … }
    let mut tbs = tagged(tagged(certificate, SEQUENCE)?.0, SEQUENCE)?.0;
    if let Some((_, rest)) = tagged(tbs, VERSION) {
        tbs = rest;
    }
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        tbs = tagged(tbs, tag)?.1;
    }
    Some(tbs)
}

/// The first element: its tag, its content, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |sum, digit| (sum << 8) | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// The content of the first element, if it has this tag, and what follows it.
fn tagged(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(bytes)?;
    (tag == wanted).then_some((content, rest))
}

/// `YYMMDDhhmmssZ` (years from 1950) or `YYYYMMDDhhmmssZ`.
fn time(tag: u8, text: &str) -> Option<SystemTime> {
    let text = match tag {
        UTC_TIME if text < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    if text.len() != 15 || !text.is_ascii() {
        return None;
    }
    let (date, clock) = text.split_at(8);
    let (year, month, day) = (&date[..4], &date[4..6], &date[6..]);
    let (hour, minute, rest) = (&clock[..2], &clock[2..4], &clock[4..]);
    humantime::parse_rfc3339(&format!("{year}-{month}-{day}T{hour}:{minute}:{rest}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(year: i32) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["cp1".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 31);
        params.not_after = rcgen::date_time_ymd(year, 2, 28);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn both_forms_of_time_are_read() {
        for year in [2026, 2049, 2050, 2125] {
            let (from, until) = validity(&made(year)).unwrap();
            assert_eq!(humantime::format_rfc3339_seconds(from).to_string(), "2020-01-31T00:00:00Z");
            assert_eq!(humantime::format_rfc3339_seconds(until).to_string(), format!("{year}-02-28T00:00:00Z"));
        }
    }

    #[test]
    fn organizations_are_read_from_the_subject_and_not_from_the_issuer() {
        let named = |organization: &str| {
            let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
            params.distinguished_name.push(rcgen::DnType::CommonName, "defib");
            params.distinguished_name.push(rcgen::DnType::OrganizationName, organization);
            params
        };
        let key = rcgen::KeyPair::generate().unwrap();
        let issuer = rcgen::Issuer::new(named("of the issuer"), rcgen::KeyPair::generate().unwrap());
        let made = named("os:reader").signed_by(&key, &issuer).unwrap();
        assert_eq!(organizations(made.der()), ["os:reader"]);
        assert_eq!(organizations(&self::made(2030)), Vec::<String>::new());
        assert_eq!(organizations(b"\x30\x03\x02\x01\x01"), Vec::<String>::new());
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_survived() {
        let whole = made(2030);
        for end in 0..whole.len() {
            let _ = not_after(&whole[..end]);
            let mut flipped = whole.clone();
            flipped[end] ^= 0xff;
            let _ = (not_after(&flipped), organizations(&flipped), organizations(&whole[..end]));
        }
        assert_eq!(not_after(b""), None);
    }
}
