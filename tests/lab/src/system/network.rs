//! The lab's network: a bridge in a namespace of its own, and a cable from it to each node and to the ops host.
//!
//! Nothing of it can be reached from the machine's own network, and nothing there changes.

use std::net::Ipv4Addr;

use crate::layout::{BRIDGE, DEVICE, Layout, Place};

use super::namespace::{self, NamespaceError};
use super::process::{ProcessError, run};

/// Why the network is not there.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A namespace was refused.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// `ip` was refused.
    #[error(transparent)]
    Command(#[from] ProcessError),
}

/// Makes every namespace and connects it.
pub(crate) fn build(layout: &Layout) -> Result<(), NetworkError> {
    for place in Place::ALL {
        namespace::create(&layout.namespace(place))?;
    }
    let bridge = layout.namespace(Place::Bridge);
    let gateway = format!("{}/24", Place::Bridge.address());
    namespace::inside(&bridge, || {
        ip(&["link", "set", "lo", "up"])?;
        ip(&["link", "add", BRIDGE, "type", "bridge"])?;
        ip(&["address", "add", &gateway, "dev", BRIDGE])?;
        ip(&["link", "set", BRIDGE, "up"])
    })??;
    for place in Place::ALL.into_iter().filter(|place| *place != Place::Bridge) {
        let peer = layout.namespace(place);
        let peer_file = peer.to_string_lossy().into_owned();
        let port = place.name();
        namespace::inside(&bridge, || {
            ip(&["link", "add", port, "type", "veth", "peer", "name", DEVICE, "netns", &peer_file])?;
            ip(&["link", "set", port, "master", BRIDGE, "up"])
        })??;
        let address = format!("{}/24", place.address());
        namespace::inside(&peer, || {
            ip(&["link", "set", "lo", "up"])?;
            ip(&["address", "add", &address, "dev", DEVICE])?;
            ip(&["link", "set", DEVICE, "up"])?;
            ip(&["route", "add", "default", "via", &Place::Bridge.address().to_string()])
        })??;
    }
    Ok(())
}

/// Pulls a place's cable out of the bridge, or puts it back.
pub(crate) fn set_port(layout: &Layout, place: Place, up: bool) -> Result<(), NetworkError> {
    let state = if up { "up" } else { "down" };
    namespace::inside(&layout.namespace(Place::Bridge), || ip(&["link", "set", place.name(), state]))??;
    Ok(())
}

/// Takes an address off a place's device; fine where it is not there.
pub(crate) fn drop_address(layout: &Layout, place: Place, address: Ipv4Addr) -> Result<(), NetworkError> {
    let prefix = format!("{address}/32");
    Ok(namespace::inside(&layout.namespace(place), || {
        let shown = run("ip", &["-o", "address", "show", "dev", DEVICE])?;
        if shown.contains(&prefix) { ip(&["address", "delete", &prefix, "dev", DEVICE]) } else { Ok(()) }
    })??)
}

/// Whether a place's cable is in the bridge.
pub(crate) fn port_is_up(layout: &Layout, place: Place) -> Result<bool, NetworkError> {
    let shown = namespace::inside(&layout.namespace(Place::Bridge), || {
        run("ip", &["-o", "link", "show", "dev", place.name()])
    })??;
    let flags = shown.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("", |(flags, _)| flags);
    Ok(flags.split(',').any(|flag| flag == "UP"))
}

fn ip(arguments: &[&str]) -> Result<(), ProcessError> {
    run("ip", arguments).map(drop)
}
