//! What a step can do, and in which words a playbook asks for it: one table, from which the playbooks' reader, their JSON
//! Schema and the reference are made.

use std::fmt;
use std::time::Duration;

use crate::observation::NodeName;

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Saves what is known about the patient; harmless.
    CollectEvidence,
    /// Restarts a Talos service on the patient's node.
    RestartService {
        /// Which one.
        service: RestartableService,
        /// How long the call may take.
        deadline: Duration,
    },
    /// Starts a Talos service on the patient's node.
    StartService {
        /// Which one.
        service: RestartableService,
        /// How long the call may take.
        deadline: Duration,
    },
    /// Stops a container of a static pod on the patient's node; the kubelet makes another.
    RestartContainer {
        /// Which one.
        container: RestartableContainer,
        /// How long the call may take, the container's own grace of 10 s included.
        deadline: Duration,
    },
    /// Makes room in etcd's database and ends its alarm NOSPACE: a snapshot, then compaction, then each member is
    /// defragmented, one after another.
    ReclaimSpace {
        /// How long all of it may take.
        deadline: Duration,
    },
    /// Has the patient's member of etcd, which leads, hand the leadership to another voter.
    MoveLeader {
        /// To whom: chosen when the step is started; none before.
        to: Option<NodeName>,
        /// How long the call may take.
        deadline: Duration,
    },
    /// Has the hypervisor do something with the patient's virtual machine.
    Vm {
        /// What.
        deed: VmDeed,
        /// How long the call may take, its task included; the machine takes longer.
        deadline: Duration,
    },
    /// Takes the patient's member out of etcd, if it is still in it, and erases what its machine keeps, so that it joins
    /// anew: a snapshot first.
    ReplaceMember {
        /// How long it may take until the machine has begun; joining takes longer.
        deadline: Duration,
    },
    /// Reboots the patient's machine.
    RebootNode {
        /// How.
        mode: RebootMode,
        /// How long the call may take; the machine takes longer.
        deadline: Duration,
    },
}

/// How an action is written in a playbook: its name alone, or its name with a word and a deadline.
#[derive(Debug)]
pub struct Form {
    /// The public name, in kebab-case.
    pub name: &'static str,
    /// One sentence for the reference.
    pub meaning: &'static str,
    /// What stands behind the name.
    pub shape: Shape,
}

/// What stands behind an action's name.
#[derive(Debug)]
pub enum Shape {
    /// Nothing.
    Plain(Action),
    /// A deadline alone.
    Timed(fn(Duration) -> Action),
    /// A word and a deadline.
    With(Detail),
}

/// What stands behind an action's name, beside its `deadline`.
#[derive(Debug)]
pub struct Detail {
    /// The key of its word.
    pub key: &'static str,
    /// The words that it may be.
    pub words: &'static [&'static str],
    /// The action of one of these words, with the deadline.
    pub make: fn(&str, Duration) -> Option<Action>,
}

/// Every action that a playbook may ask for.
pub static FORMS: &[Form] = &[
    Form {
        name: "collect-evidence",
        meaning: "keeps what the patient's machine says of itself beside the journal, within 10 s, and holds nothing up",
        shape: Shape::Plain(Action::CollectEvidence),
    },
    Form {
        name: "restart-service",
        meaning: "has Talos restart a service; one that is stopped is started",
        shape: Shape::With(Detail {
            key: "service",
            words: &["kubelet"],
            make: |word, deadline| Some(Action::RestartService { service: RestartableService::named(word)?, deadline }),
        }),
    },
    Form {
        name: "start-service",
        meaning: "has Talos start a service that is stopped; one that runs is left alone",
        shape: Shape::With(Detail {
            key: "service",
            words: &["kubelet"],
            make: |word, deadline| Some(Action::StartService { service: RestartableService::named(word)?, deadline }),
        }),
    },
    Form {
        name: "restart-container",
        meaning: "has Talos stop the running container of a static pod, with a grace of 10 s; the kubelet makes another",
        shape: Shape::With(Detail {
            key: "container",
            words: &["kube-apiserver", "kube-vip"],
            make: |word, deadline| {
                Some(Action::RestartContainer { container: RestartableContainer::named(word)?, deadline })
            },
        }),
    },
    Form {
        name: "reclaim-space",
        meaning: "keeps a snapshot of etcd beside the journal, compacts its history, defragments every member, one after another, the leader last, and disarms NOSPACE where that freed a fifth; anything else than expected ends it",
        shape: Shape::With(Detail {
            key: "store",
            words: &["etcd"],
            make: |word, deadline| Some(Action::ReclaimSpace { deadline }).filter(|_| word == "etcd"),
        }),
    },
    Form {
        name: "move-leader",
        meaning: "has the member of etcd that leads hand over to the voter that is fit and has applied most; it fails where it no longer leads",
        shape: Shape::Timed(|deadline| Action::MoveLeader { to: None, deadline }),
    },
    Form {
        name: "replace-member",
        meaning: "by a person's word alone: compares every member's store, keeps a snapshot of etcd beside the journal, removes the patient's member where it is still listed, and has Talos erase the machine's partition EPHEMERAL and reboot it, so that it joins anew; anything else than expected ends it; takes a credential with os:admin",
        shape: Shape::Timed(|deadline| Action::ReplaceMember { deadline }),
    },
    Form {
        name: "reboot-node",
        meaning: "has Talos reboot the machine; verified by its boot time, too",
        shape: Shape::With(Detail {
            key: "mode",
            words: &["default", "powercycle"],
            make: |word, deadline| Some(Action::RebootNode { mode: RebootMode::named(word)?, deadline }),
        }),
    },
    Form {
        name: "start-vm",
        meaning: "has the hypervisor start the node's virtual machine, which is stopped; no hypervisor can be configured yet, so it fails",
        shape: Shape::Timed(|deadline| Action::Vm { deed: VmDeed::Start, deadline }),
    },
    Form {
        name: "resume-vm",
        meaning: "has the hypervisor wake the node's virtual machine, which is paused; no hypervisor can be configured yet, so it fails",
        shape: Shape::Timed(|deadline| Action::Vm { deed: VmDeed::Resume, deadline }),
    },
    Form {
        name: "reset-vm",
        meaning: "has the hypervisor reset the node's virtual machine, as its button would; no hypervisor can be configured yet, so it fails",
        shape: Shape::Timed(|deadline| Action::Vm { deed: VmDeed::Reset, deadline }),
    },
    Form {
        name: "prioritise-vm",
        meaning: "has the hypervisor give the node's virtual machine ten times the share of processors that a guest has by default (cpuunits), and nothing else; no hypervisor can be configured yet, so it fails",
        shape: Shape::Timed(|deadline| Action::Vm { deed: VmDeed::Prioritise, deadline }),
    },
];

/// The form of an action with this public name.
#[must_use]
pub fn form(name: &str) -> Option<&'static Form> {
    FORMS.iter().find(|form| form.name == name)
}

/// How Talos reboots a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebootMode {
    /// Stops pods and services first, then starts the kernel by kexec where it can.
    Default,
    /// Through the firmware.
    Powercycle,
}

impl RebootMode {
    fn named(word: &str) -> Option<RebootMode> {
        [RebootMode::Default, RebootMode::Powercycle].into_iter().find(|mode| mode.name() == word)
    }

    /// The word in a playbook.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            RebootMode::Default => "default",
            RebootMode::Powercycle => "powercycle",
        }
    }
}

/// What a hypervisor is asked to do with a virtual machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmDeed {
    /// Starts it.
    Start,
    /// Wakes it where it is paused.
    Resume,
    /// Resets it: its member of etcd and its API server end at once.
    Reset,
    /// Gives it ten times the default share of the host's processors. It takes effect at once, takes nothing down, and is
    /// drift to whatever else writes that share down.
    Prioritise,
}

impl VmDeed {
    /// The action's public name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            VmDeed::Start => "start-vm",
            VmDeed::Resume => "resume-vm",
            VmDeed::Reset => "reset-vm",
            VmDeed::Prioritise => "prioritise-vm",
        }
    }
}

/// The services that Talos restarts over its API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartableService {
    /// The kubelet.
    Kubelet,
}

impl RestartableService {
    fn named(word: &str) -> Option<RestartableService> {
        Some(RestartableService::Kubelet).filter(|service| service.id() == word)
    }

    /// Talos's id of it.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            RestartableService::Kubelet => "kubelet",
        }
    }
}

/// The containers of static pods that a step may restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartableContainer {
    /// The API server's.
    KubeApiserver,
    /// The one that holds the virtual address, where it is not Talos's own.
    KubeVip,
}

impl RestartableContainer {
    fn named(word: &str) -> Option<RestartableContainer> {
        [RestartableContainer::KubeApiserver, RestartableContainer::KubeVip].into_iter().find(|one| one.name() == word)
    }

    /// Its name within its pod.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            RestartableContainer::KubeApiserver => "kube-apiserver",
            RestartableContainer::KubeVip => "kube-vip",
        }
    }
}

/// How much an action can hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ActionClass {
    /// Reads only; free of limits and guards.
    Harmless,
    /// Touches one service that no member of etcd depends on.
    Service,
    /// Changes what etcd keeps or how it lies on the disk; each member stands still for a moment, one after another.
    Data,
    /// Takes a whole machine down, with its member of etcd.
    Disruptive,
    /// Takes a machine down and erases what it keeps: never by itself, only where a person asks for it by name.
    Erasing,
}

impl ActionClass {
    /// Every class, the gentlest first.
    const ALL: [ActionClass; 5] =
        [ActionClass::Harmless, ActionClass::Service, ActionClass::Data, ActionClass::Disruptive, ActionClass::Erasing];

    /// The public name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ActionClass::Harmless => "harmless",
            ActionClass::Service => "service",
            ActionClass::Data => "data",
            ActionClass::Disruptive => "disruptive",
            ActionClass::Erasing => "erasing",
        }
    }

    /// The class of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<ActionClass> {
        ActionClass::ALL.into_iter().find(|class| class.name() == name)
    }
}

impl fmt::Display for ActionClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Action {
    /// How much it can hurt.
    #[must_use]
    pub fn class(&self) -> ActionClass {
        match self {
            Action::CollectEvidence => ActionClass::Harmless,
            Action::RestartService { .. }
            | Action::StartService { .. }
            | Action::RestartContainer { .. }
            | Action::Vm { deed: VmDeed::Prioritise, .. } => ActionClass::Service,
            Action::ReclaimSpace { .. } | Action::MoveLeader { .. } => ActionClass::Data,
            // What starts or wakes a whole machine is announced and counted like what takes one down.
            Action::Vm { .. } | Action::RebootNode { .. } => ActionClass::Disruptive,
            Action::ReplaceMember { .. } => ActionClass::Erasing,
        }
    }

    /// It can take the node's member of etcd down, or make it stand still. On Talos etcd is not a static pod, so neither a
    /// kubelet's restart nor a container's can.
    #[must_use]
    pub fn takes_etcd_down(&self) -> bool {
        match self {
            Action::RebootNode { .. } | Action::ReplaceMember { .. } | Action::ReclaimSpace { .. } => true,
            Action::Vm { deed, .. } => *deed == VmDeed::Reset,
            _ => false,
        }
    }

    /// The machine boots: verified by its boot time, too.
    #[must_use]
    pub fn boots(&self) -> bool {
        match self {
            Action::RebootNode { .. } | Action::ReplaceMember { .. } => true,
            Action::Vm { deed, .. } => matches!(deed, VmDeed::Start | VmDeed::Reset),
            _ => false,
        }
    }

    /// It takes the node's API server down.
    #[must_use]
    pub fn takes_apiserver_down(&self) -> bool {
        let container = RestartableContainer::KubeApiserver;
        match self {
            Action::RebootNode { .. } | Action::ReplaceMember { .. } | Action::Vm { deed: VmDeed::Reset, .. } => true,
            Action::RestartContainer { container: one, .. } => *one == container,
            _ => false,
        }
    }

    /// The node gives up the virtual address, if it holds it: Talos's own goes with the kubelet, kube-vip's with its
    /// container, and with the API server through which it renews its lease.
    #[must_use]
    pub fn takes_vip_down(&self) -> bool {
        match self {
            Action::CollectEvidence
            | Action::StartService { .. }
            | Action::ReclaimSpace { .. }
            | Action::MoveLeader { .. } => false,
            Action::Vm { deed, .. } => *deed == VmDeed::Reset,
            Action::RestartService { .. }
            | Action::RestartContainer { .. }
            | Action::ReplaceMember { .. }
            | Action::RebootNode { .. } => true,
        }
    }

    /// How long it may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        match self {
            Action::CollectEvidence => Duration::from_secs(10),
            Action::RestartService { deadline, .. }
            | Action::StartService { deadline, .. }
            | Action::RestartContainer { deadline, .. }
            | Action::ReclaimSpace { deadline }
            | Action::MoveLeader { deadline, .. }
            | Action::ReplaceMember { deadline }
            | Action::Vm { deadline, .. }
            | Action::RebootNode { deadline, .. } => *deadline,
        }
    }

    /// From its end until its effect can be expected, at the least: a verification that is shorter only ever fails.
    #[must_use]
    pub fn settles_within(&self) -> Duration {
        match self {
            Action::CollectEvidence => Duration::ZERO,
            // Measured on real parts: 3.7 s, and up to 35 s where the runtime's network is not ready.
            Action::RestartService { .. } | Action::StartService { .. } => Duration::from_secs(35),
            // The kubelet looks at its containers every second and starts the API server within twenty; kube-vip's lease is
            // 15 s at the most.
            Action::RestartContainer { .. } => Duration::from_secs(25),
            // The members tell of no alarm as soon as it is disarmed.
            Action::ReclaimSpace { .. } => Duration::from_secs(5),
            // What was late is in the window for a minute.
            Action::MoveLeader { .. } => Duration::from_secs(60),
            // The next look at the hypervisor, and the one after it.
            Action::Vm { deed: VmDeed::Prioritise, .. } => Duration::from_secs(15),
            Action::Vm { deed: VmDeed::Resume, .. } => Duration::from_secs(35),
            Action::Vm { .. } => Duration::from_secs(3 * 60),
            // The same, and the whole store comes from another member before it votes.
            Action::ReplaceMember { .. } => Duration::from_secs(5 * 60),
            // Talos stops pods and services first; firmware, kernel and etcd's way back come after it.
            Action::RebootNode { .. } => Duration::from_secs(3 * 60),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::CollectEvidence => f.write_str("collect-evidence"),
            Action::RestartService { service, .. } => write!(f, "restart-service {}", service.id()),
            Action::StartService { service, .. } => write!(f, "start-service {}", service.id()),
            Action::RestartContainer { container, .. } => write!(f, "restart-container {}", container.name()),
            Action::ReclaimSpace { .. } => f.write_str("reclaim-space etcd"),
            Action::MoveLeader { to: None, .. } => f.write_str("move-leader"),
            Action::MoveLeader { to: Some(to), .. } => write!(f, "move-leader to {to}"),
            Action::ReplaceMember { .. } => f.write_str("replace-member"),
            Action::Vm { deed, .. } => f.write_str(deed.name()),
            Action::RebootNode { mode, .. } => write!(f, "reboot-node {}", mode.name()),
        }
    }
}
