//! One API server, asked directly: is it ready, and where it is not, is the process well.
//!
//! `/readyz` alone while it says yes: one plain question over the held connection, for a ready server lives. Where it
//! says no, or nothing for a moment, `/livez` is asked too: without etcd, for what remains tells of the process alone.
//! Its checks wait up to 2 s each for etcd, one after the other: a `/readyz` that does not answer in time beside a
//! `/livez` that did is a server that lives and is not ready, not a silent one; it is asked again while the wait lasts,
//! for it may fall silent then. What is asked beside a silence goes over a connection of its own, which is made at that
//! moment and kept while the wait lasts: nothing queues behind the late answer, and a sick server is asked for one
//! handshake a round. Its failure names what truly failed: the machine, the process, or its answer.

use defib_engine::observation::{Apiserver, Facts, Failure, ProbeKind, Seen, Stage};
use tokio::time::{Instant, sleep, sleep_until};

use crate::client::kubernetes::{Answer, Connection, Kubernetes, Shown};
use crate::client::{Trouble, detail};
use crate::observe::in_time;
use crate::observe::patience::Deadlines;

const LIVE: &str = "/livez?exclude=etcd";
/// Plain: a failure names its checks without being asked to.
const READY: &str = "/readyz";

/// So many failing checks are named; Kubernetes has some forty, and names beyond the first tell nothing more.
const NAMES_MAX: usize = 16;

/// What stands for the names where `/readyz` gave none in time.
const NO_ANSWER: &str = "no answer in time";

/// `/readyz` has this part of the time for a sign of life to itself, before `/livez` is asked beside it.
const ALONE: u32 = 3;

/// Asks; 200 and 500 are answers, every other status is a failure.
pub async fn poll(client: &Kubernetes, _: ProbeKind, deadlines: Deadlines) -> Seen {
    match ask(client, deadlines).await {
        Ok(facts) => Seen::Healthy(Facts::Apiserver(facts)),
        Err(trouble) => trouble.into(),
    }
}

async fn ask(client: &Kubernetes, deadlines: Deadlines) -> Result<Apiserver, Trouble> {
    let began = Instant::now();
    let (sign_by, until) = (began + deadlines.sign, began + deadlines.whole);
    let ready = client.get(READY, until);
    tokio::pin!(ready);
    let mut other = None;
    let beside = async {
        sleep_until(began + deadlines.sign / ALONE).await;
        sign(client, &mut other, sign_by).await
    };
    let beside = tokio::select! {
        biased;
        answer = &mut ready => {
            let mut facts = readiness(answer?, began)?;
            if !facts.ready {
                facts.live = match client.get(LIVE, (Instant::now() + deadlines.sign).min(until)).await {
                    Ok(answer) => live(answer)?.live,
                    // It spoke a moment ago: no silence, and no word that it is well either.
                    Err(Trouble::Failed(Failure::Timeout(_))) => false,
                    Err(trouble) => return Err(trouble),
                };
            }
            return Ok(facts);
        }
        live = beside => match live {
            Ok(facts) => facts,
            Err(failed @ Trouble::Failed(_)) => return Err(failed),
            // Our own side's trouble with a second connection says nothing of the first, which alone counts then.
            Err(Trouble::Unknown(_)) => return readiness(ready.await?, began),
        },
    };
    // What spoke a moment ago may fall silent while its `/readyz` is still waited for: it is asked for a sign on and on.
    let silence = async {
        loop {
            sleep(deadlines.sign).await;
            let by = Instant::now() + deadlines.sign;
            if by >= until {
                return std::future::pending().await;
            }
            match sign(client, &mut other, by).await {
                // It spoke, if only to say that it has no time.
                Ok(_) | Err(Trouble::Unknown(_) | Trouble::Failed(Failure::Status { .. })) => {}
                Err(Trouble::Failed(failed)) => return failed,
            }
        }
    };
    let answer = tokio::select! {
        biased;
        answer = &mut ready => answer,
        failed = silence => return Err(failed.into()),
    };
    match answer {
        Ok(answer) => {
            let facts = readiness(answer, began)?;
            Ok(Apiserver { live: facts.ready || beside.live, ..facts })
        }
        Err(Trouble::Failed(Failure::Timeout(Stage::Response))) => {
            Ok(Apiserver { failing: vec![NO_ANSWER.to_owned()], took: began.elapsed(), ..beside })
        }
        Err(trouble) => Err(trouble),
    }
}

/// Asks for a sign of life over another connection than the held one.
async fn sign(client: &Kubernetes, other: &mut Option<Connection>, by: Instant) -> Result<Apiserver, Trouble> {
    live(in_time(client.get_over(other, LIVE, by).await, by)?)
}

/// What `/readyz` tells; of life only that a ready server has it.
fn readiness(answer: Answer, asked: Instant) -> Result<Apiserver, Trouble> {
    let took = asked.elapsed();
    let (ready, answer) = verdict(answer)?;
    let Shown { sha256: certificate_sha256, not_after: certificate_not_after } = answer.certificate;
    let failing = if ready { Vec::new() } else { failing(&answer.body) };
    Ok(Apiserver { ready, live: ready, failing, took, certificate_sha256, certificate_not_after })
}

/// What `/livez` tells: nothing of readiness.
fn live(answer: Answer) -> Result<Apiserver, Trouble> {
    let (live, answer) = verdict(answer)?;
    let Shown { sha256: certificate_sha256, not_after: certificate_not_after } = answer.certificate;
    Ok(Apiserver { live, certificate_sha256, certificate_not_after, ..Apiserver::default() })
}

fn verdict(answer: Answer) -> Result<(bool, Answer), Trouble> {
    match answer.status {
        200 => Ok((true, answer)),
        500 => Ok((false, answer)),
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
        let answer = |status| Answer { status, body: "b".to_owned(), certificate: Shown::default(), retry_after: None };
        assert_eq!(verdict(answer(200)), Ok((true, answer(200))));
        assert_eq!(verdict(answer(500)), Ok((false, answer(500))));
        let failure = Failure::Status { code: 429, detail: "b".to_owned() };
        assert_eq!(verdict(answer(429)), Err(Trouble::Failed(failure)));
    }
}
