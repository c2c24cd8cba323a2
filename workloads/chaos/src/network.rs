//! The network of a run: a hub with the broker and the gateway at it, and a namespace for each process, whose cable can be
//! pulled. The run has a namespace of its own around all that (see e2e/chaos/run.sh), and all of it goes with it.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use crate::failure::Failure;
use crate::system::run;

/// The address of the run itself, of the broker and of the gateway.
pub(crate) const HUB: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

/// The hub, and how many hosts are connected to it.
#[derive(Debug)]
pub(crate) struct Network {
    hosts: u8,
}

/// A namespace that a process can run in.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    name: String,
    /// Its address.
    pub(crate) address: Ipv4Addr,
}

impl Network {
    /// A network with nobody in it but the run.
    pub(crate) fn new() -> Result<Self, Failure> {
        // `ip netns` keeps files there, which would stay.
        run(Command::new("mount").args(["-t", "tmpfs", "kbnt-chaos", "/run"]))?;
        ip(&["link", "set", "lo", "up"])?;
        ip(&["link", "add", "hub", "type", "bridge"])?;
        ip(&["address", "add", &format!("{HUB}/24"), "dev", "hub"])?;
        ip(&["link", "set", "hub", "up"])?;
        Ok(Self { hosts: 1 })
    }

    /// Connects one more.
    pub(crate) fn host(&mut self, name: &str) -> Result<Host, Failure> {
        self.hosts += 1;
        let [a, b, c, _] = HUB.octets();
        let address = Ipv4Addr::new(a, b, c, self.hosts);
        ip(&["netns", "add", name])?;
        ip(&["link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name])?;
        ip(&["link", "set", name, "master", "hub", "up"])?;
        ip(&["-n", name, "address", "add", &format!("{address}/24"), "dev", "eth0"])?;
        ip(&["-n", name, "link", "set", "eth0", "up"])?;
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        Ok(Host { name: name.to_owned(), address })
    }
}

impl Host {
    /// A program in this namespace; its process is the program's own.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Pulls the cable: whatever is sent from now on is lost, and nobody is told.
    pub(crate) fn cut(&self) -> Result<(), Failure> {
        ip(&["link", "set", &self.name, "down"])
    }

    /// Puts it in again.
    pub(crate) fn mend(&self) -> Result<(), Failure> {
        ip(&["link", "set", &self.name, "up"])
    }
}

fn ip(arguments: &[&str]) -> Result<(), Failure> {
    run(Command::new("ip").args(arguments)).map(drop)
}
