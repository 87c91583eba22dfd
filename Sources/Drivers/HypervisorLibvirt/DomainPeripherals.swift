// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Kernel

/// Small devices: the agent's channel, chance, the watchdog, the balloon.
extension DomainXML {
    func peripherals(_ xml: inout XMLWriter) {
        if property("hw_rng:allowed") != "False" {
            xml.element("rng", ["model": "virtio"]) { $0.element("backend", ["model": "random"], text: "/dev/urandom") }
        }
        if let action = property("hw_watchdog_action"), action != "disabled" {
            xml.element("watchdog", ["model": "i6300esb", "action": action])
        }
        xml.element("memballoon", ["model": "virtio"]) { $0.element("stats", ["period": "10"]) }
    }

    func agentChannel(_ xml: inout XMLWriter) {
        xml.element("channel", ["type": "unix"]) { xml in
            xml.element("target", ["type": "virtio", "name": "org.qemu.guest_agent.0"])
        }
    }
}
