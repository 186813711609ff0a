//! What changes a store of etcd, or who leads: compaction, defragmentation, the end of an alarm, a handing over. Each is the
//! same when it is done twice; a second handing over fails, for who asks no longer leads. Left out: when (`execute`).

use std::time::{Duration, Instant};

use etcd_client::{AlarmAction, AlarmOptions, AlarmType, CompactionOptions, GetOptions};
use tonic::{Code, Status};

use super::{KEY, MEMBERS_MAX, Member, status_of};
use crate::client::Trouble;

impl Member {
    /// Drops every revision but the newest of each key, physically: room that defragmentation can give back. Answers the
    /// revision.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn compact(&self, until: Instant) -> Result<i64, Trouble> {
        self.ask(left(until), |client| async move {
            let mut kv = client.kv_client();
            let newest = kv.get(KEY, Some(GetOptions::new().with_count_only())).await.map_err(status_of)?;
            let revision = newest.header().map_or(0, etcd_client::ResponseHeader::revision);
            let options = CompactionOptions::new().with_physical();
            match kv.compact(revision, Some(options)).await.map_err(status_of) {
                Ok(_) => Ok(revision),
                Err(status) if is_compacted(&status) => Ok(revision),
                Err(status) => Err(status),
            }
        })
        .await
    }

    /// Rewrites the member's database without its holes; it answers nobody meanwhile.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn defragment(&self, until: Instant) -> Result<(), Trouble> {
        self.ask(left(until), |client| async move {
            client.maintenance_client().defragment().await.map(drop).map_err(status_of)
        })
        .await
    }

    /// Has this member, which leads, hand over to the member with this id.
    ///
    /// # Errors
    /// [`Trouble`]; one of them is that it does not lead.
    pub async fn move_leader(&self, to: u64, until: Instant) -> Result<(), Trouble> {
        self.ask(left(until), |client| async move {
            client.maintenance_client().move_leader(to).await.map(drop).map_err(status_of)
        })
        .await
    }

    /// Takes the member with this id out of the cluster; whom is asked must be another. Who was out already is no error.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn remove(&self, id: u64, until: Instant) -> Result<(), Trouble> {
        self.ask(left(until), |client| async move {
            match client.cluster_client().member_remove(id).await.map_err(status_of) {
                Err(status) if status.code() == Code::NotFound => Ok(()),
                answer => answer.map(drop),
            }
        })
        .await
    }

    /// Ends the alarm CORRUPT that names this member.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn disarm_corrupt(&self, id: u64, until: Instant) -> Result<(), Trouble> {
        self.ask(left(until), |client| async move {
            let mut of = AlarmOptions::new();
            of.with_member(id);
            let mut maintenance = client.maintenance_client();
            maintenance.alarm(AlarmAction::Deactivate, AlarmType::Corrupt, Some(of)).await.map(drop).map_err(status_of)
        })
        .await
    }

    /// Ends the alarm NOSPACE of every member that raised it; answers how many.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn disarm_no_space(&self, until: Instant) -> Result<usize, Trouble> {
        self.ask(left(until), |client| async move {
            let mut maintenance = client.maintenance_client();
            let raised = maintenance.alarm(AlarmAction::Get, AlarmType::Nospace, None).await;
            let raised = raised.map_err(status_of)?;
            let full = |alarm: &&etcd_client::AlarmMember| alarm.alarm() == AlarmType::Nospace;
            let members: Vec<u64> =
                raised.alarms().iter().filter(full).take(MEMBERS_MAX).map(|one| one.member_id()).collect();
            for member in &members {
                let mut of = AlarmOptions::new();
                of.with_member(*member);
                maintenance.alarm(AlarmAction::Deactivate, AlarmType::Nospace, Some(of)).await.map_err(status_of)?;
            }
            Ok(members.len())
        })
        .await
    }
}

/// Nothing is left to compact: the API server did it at this very revision.
fn is_compacted(status: &Status) -> bool {
    status.code() == Code::OutOfRange && status.message().contains("compacted")
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}
