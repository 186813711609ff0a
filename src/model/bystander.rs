//! What somebody who sees everything would say of the model, as it changes: for the story of a rehearsal.
//!
//! It speaks of the model's truth, never of what the program believes. Left out: what only a probe could tell.

use std::collections::BTreeMap;
use std::time::Duration;

use defib_engine::observation::NodeName;
use defib_engine::time::Human;

use super::Model;

/// A kubelet's wait is worth a word from here on.
const LONG: Duration = Duration::from_secs(10);

/// Somebody who looks on.
#[derive(Clone, Debug, Default)]
pub struct Bystander {
    quorum: Option<bool>,
    served: Option<bool>,
    waits: BTreeMap<NodeName, Duration>,
}

impl Bystander {
    /// What changed since the last look, in sentences. The first look says nothing.
    pub fn look(&mut self, model: &Model) -> Vec<String> {
        let mut said = Vec::new();
        let quorum = model.nodes.keys().any(|name| model.etcd.serves(name));
        if self.quorum.replace(quorum).is_some_and(|was| was != quorum) {
            said.push(match model.etcd.leader.as_ref().filter(|_| quorum) {
                Some(leader) => format!("etcd has a quorum again, {leader} leads"),
                None => "etcd has no leader: nothing can be written".to_owned(),
            });
        }
        for (name, node) in &model.nodes {
            let Some((length, _)) = node.wait.filter(|(length, _)| *length >= LONG) else {
                self.waits.remove(name);
                continue;
            };
            if self.waits.insert(name.clone(), length) != Some(length) {
                said.push(format!("{name}'s kubelet waits {} before it starts its API server again", Human(length)));
            }
        }
        let served = model.serves();
        if self.served.replace(served).is_some_and(|was| was != served) {
            said.push(match model.vip.holder.as_ref().filter(|_| served) {
                Some(holder) => format!("service is back: {holder} answers ready at the VIP"),
                None => "service is lost: nobody answers ready at the VIP".to_owned(),
            });
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use defib_engine::time::Tick;

    use super::super::fault::{Fault, Kind};
    use super::super::vip::Way;
    use super::*;

    #[test]
    fn it_says_what_changed_and_nothing_twice() {
        let (mut model, mut bystander) = (Model::well(3, Way::KubeVip, 1), Bystander::default());
        model.advance(Tick(20_000));
        assert!(bystander.look(&model).is_empty() && bystander.look(&model).is_empty());
        for number in 1..=2 {
            model.inflict(&Fault { kind: Kind::HangEtcd, node: format!("cp{number}") });
        }
        model.advance(Tick(21_000));
        let said = bystander.look(&model);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("no leader") && said[1].contains("service is lost"), "{said:?}");
        assert!(bystander.look(&model).is_empty());
    }
}
