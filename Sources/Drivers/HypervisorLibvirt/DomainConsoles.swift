// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Kernel

/// Where a guest's consoles are: serial ones, its screen, and the pointer that a screen needs.
extension DomainXML {
    func consoles(_ xml: inout XMLWriter) {
        // virtlogd appends, so that a console log outlives a restart of the guest or of the daemon.
        // On a socket it can be typed at, too.
        xml.element("serial", ["type": settings.hasSerialConsoles ? "unix" : "pty"]) { xml in
            if settings.hasSerialConsoles { xml.element("source", ["mode": "bind", "path": folder.serialSocket]) }
            xml.element("log", ["file": folder.consoleLog, "append": "on"])
            xml.element("target", ["port": "0"])
        }
    }

    func screen(_ xml: inout XMLWriter) {
        pointer(&xml)
        xml.element("graphics", ["type": "vnc", "socket": folder.vncSocket])
        if settings.hasSPICE {
            xml.element("graphics", ["type": "spice"]) { xml in
                xml.element("listen", ["type": "socket", "socket": folder.spiceSocket])
                xml.element("image", ["compression": "off"])
            }
        }
        xml.element("video") { xml in
            xml.element("model", ["type": property("hw_video_model") ?? "vga", "vram": videoMemory])
        }
    }

    private var videoMemory: String? {
        property("hw_video_ram").flatMap { Int($0) }.map { "\($0 * 1024)" }
    }

    /// An absolute pointer, as VNC wants it. A guest's USB driver polls, and under translation polling costs a share of
    /// a core in every idle guest: there the tablet must be asked for.
    private func pointer(_ xml: inout XMLWriter) {
        let wanted = property("hw_pointer_model") ?? (settings.accelerator == .kvm ? "usbtablet" : "ps2mouse")
        if wanted == "usbtablet" { xml.element("input", ["type": "tablet", "bus": "usb"]) }
    }
}
