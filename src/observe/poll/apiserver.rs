//! One API server, asked directly: is the process well, and is it ready.
//!
//! `/livez` checks etcd too, so etcd is left out there: what remains tells of the process alone, and `/readyz` tells of
//! the rest. Its checks wait up to 2 s each for etcd, one after the other: a `/readyz` that does not answer in time behind
//! a `/livez` that did is a server that lives and is not ready, not a silent one.

use std::time::Duration;

use defib_engine::observation::{Apiserver, Facts, Failure, ProbeKind, Seen, Stage};
use tokio::time::Instant;

use crate::client::kubernetes::{Answer, Kubernetes, Shown};
use crate::client::{Trouble, detail};

const LIVE: &str = "/livez?exclude=etcd";
const READY: &str = "/readyz?verbose";

/// So many failing checks are named; Kubernetes has some forty, and names beyond the first tell nothing more.
const NAMES_MAX: usize = 16;

/// What stands for the names where `/readyz` gave none in time.
const NO_ANSWER: &str = "no answer in time";

/// Asks both; 200 and 500 are answers, every other status is a failure.
pub async fn poll(client: &Kubernetes, _: ProbeKind, deadline: Duration) -> Seen {
    match ask(client, Instant::now() + deadline).await {
        Ok(facts) => Seen::Healthy(Facts::Apiserver(facts)),
        Err(trouble) => trouble.into(),
    }
}

async fn ask(client: &Kubernetes, until: Instant) -> Result<Apiserver, Trouble> {
    let answer = client.get(LIVE, until).await?;
    let Shown { sha256: certificate_sha256, not_after: certificate_not_after } = answer.certificate.clone();
    let (live, _) = verdict(answer)?;
    let asked = Instant::now();
    let facts = |ready, failing| Apiserver {
        ready,
        live,
        failing,
        took: asked.elapsed(),
        certificate_sha256,
        certificate_not_after,
    };
    match client.get(READY, until).await {
        Ok(answer) => {
            let (ready, body) = verdict(answer)?;
            Ok(facts(ready, if ready { Vec::new() } else { failing(&body) }))
        }
        Err(Trouble::Failed(Failure::Timeout(Stage::Response))) => Ok(facts(false, vec![NO_ANSWER.to_owned()])),
        Err(trouble) => Err(trouble),
    }
}

fn verdict(answer: Answer) -> Result<(bool, String), Trouble> {
    match answer.status {
        200 => Ok((true, answer.body)),
        500 => Ok((false, answer.body)),
        _ => Err(answer.into_failure().into()),
    }
}

/// The names in lines such as `[-]etcd failed: reason withheld`, in their order.
fn failing(body: &str) -> Vec<String> {
    body.lines()
        .filter_map(|line| line.trim().strip_prefix("[-]")?.split_whitespace().next())
        .take(NAMES_MAX)
        .map(detail)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_failing_checks() {
        let body = "[+]ping ok\n[+]log ok\n[-]etcd failed: reason withheld\n[-]etcd-readiness failed: reason withheld\n\
                    [+]poststarthook/start-apiextensions-informers ok\n[+]informer-sync excluded: ok\nreadyz check failed\n";
        assert_eq!(failing(body), ["etcd", "etcd-readiness"]);
        assert!(failing("ok").is_empty());
        assert!(failing("").is_empty());
    }

    #[test]
    fn bounds_what_a_hostile_server_names() {
        let many = "[-]x failed\n".repeat(1_000);
        assert_eq!(failing(&many).len(), NAMES_MAX);
        let long = format!("[-]{}\u{1b}[2J failed", "y".repeat(10_000));
        let names = failing(&long);
        assert!(names[0].chars().count() <= 160 && !names[0].contains('\u{1b}'));
        assert!(failing("[-]\n[-]   \n[ -]a failed").is_empty());
    }

    #[test]
    fn only_200_and_500_are_verdicts() {
        let answer = |status| Answer { status, body: "b".to_owned(), certificate: Shown::default() };
        assert_eq!(verdict(answer(200)), Ok((true, "b".to_owned())));
        assert_eq!(verdict(answer(500)), Ok((false, "b".to_owned())));
        let failure = Failure::Status { code: 429, detail: "b".to_owned() };
        assert_eq!(verdict(answer(429)), Err(Trouble::Failed(failure)));
    }
}
