// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Kernel

/// Where a guest's consoles are: serial ones, its screen, and what a screen needs.
extension DomainXML {
    func consoles(_ xml: inout XMLWriter) {
        for port in 0..<features.serialPorts {
            // virtlogd appends, so that a console log outlives a restart of the guest or of the daemon.
            // On a socket it can be typed at, too.
            let isSocket = port == 0 && settings.hasSerialConsoles
            xml.element("serial", ["type": isSocket ? "unix" : "pty"]) { xml in
                if isSocket { xml.element("source", ["mode": "bind", "path": folder.serialSocket]) }
                if port == 0 { xml.element("log", ["file": folder.consoleLog, "append": "on"]) }
                xml.element("target", ["port": "\(port)"])
            }
        }
    }

    func screen(_ xml: inout XMLWriter) {
        input(&xml)
        xml.element("graphics", ["type": "vnc", "socket": folder.vncSocket])
        if settings.hasSPICE {
            let address = settings.spiceListen
            xml.element("graphics", ["type": "spice", "autoport": address == nil ? nil : "yes"]) { xml in
                if let address {
                    xml.element("listen", ["type": "address", "address": address])
                } else {
                    xml.element("listen", ["type": "socket", "socket": folder.spiceSocket])
                }
                xml.element("image", ["compression": "off"])
            }
        }
        xml.element("video") { xml in
            let memory = features.videoMiB > 0 ? "\(features.videoMiB * 1024)" : nil
            xml.element("model", ["type": property("hw_video_model") ?? "vga", "vram": memory])
        }
    }

    /// An absolute pointer, as VNC wants it. A guest's USB driver polls, and under translation polling costs a share of
    /// a core in every idle guest: there the tablet must be asked for.
    private func input(_ xml: inout XMLWriter) {
        if let bus = property("hw_input_bus") {
            xml.element("input", ["type": "tablet", "bus": bus])
            xml.element("input", ["type": "keyboard", "bus": bus])
            return
        }
        let wanted = property("hw_pointer_model") ?? (settings.accelerator == .kvm ? "usbtablet" : "ps2mouse")
        if wanted == "usbtablet" { xml.element("input", ["type": "tablet", "bus": "usb"]) }
    }
}
