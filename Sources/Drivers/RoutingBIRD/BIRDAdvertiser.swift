// SPDX-License-Identifier: Apache-2.0
package import Kernel
package import Network

/// Speaks BGP through a BIRD daemon of its own, which is started with the first speaker that has somebody to talk to
/// and told of changes after that. A daemon that died is found at the next change or look, and started again.
package final class BIRDAdvertiser: RouteAdvertiser {
    package let host: String
    private let folder: String
    private let place: Surroundings
    private let options: BIRDOptions
    private let pool: BlockingPool

    /// - Parameters:
    ///   - folder: where its configuration, log and socket are; short enough for a socket's name.
    ///   - place: the network it speaks from.
    package init(
        host: String, folder: String, in place: Surroundings = .own, options: BIRDOptions = BIRDOptions(),
        pool: BlockingPool
    ) {
        self.host = host
        self.folder = folder
        self.place = place
        self.options = options
        self.pool = pool
    }

    private var configuration: String { "\(folder)/bird.conf" }
    private var socket: String { "\(folder)/bird.ctl" }

    package func speak(_ speakers: [SpeakerSpec]) async throws(Fault) {
        let wanted = BIRDConfiguration(speakers, routerID: options.routerID, log: "\(folder)/bird.log")
        let isNeeded = speakers.contains { !$0.peers.isEmpty }
        try await pool.run { () throws(Fault) in
            guard isNeeded else { return self.end() }
            guard Subprocess.locate("bird") != nil else {
                throw .unavailable("BGP needs the program bird: apt-get install bird2")
            }
            try FileSystem.makeDirectory(self.folder, mode: 0o700)
            // Checked aside first: a text that BIRD refuses must not be what it finds when it starts again.
            let draft = self.configuration + ".new"
            try FileSystem.write(wanted.text, to: draft)
            try Subprocess.check(["bird", "-p", "-c", draft])
            try FileSystem.write(wanted.text, to: self.configuration)
            FileSystem.remove(draft)
            // By its process, not by whether it answers: a second one beside one that is only slow would take over its
            // sessions, which would begin anew.
            if self.isRunning {
                try self.ask("configure")
            } else {
                try Subprocess.check(
                    ["bird", "-c", self.configuration, "-s", self.socket, "-P", "\(self.folder)/bird.pid"],
                    in: self.place)
            }
        }
    }

    package func sessions() async throws(Fault) -> [SessionFact] {
        try await pool.run { () throws(Fault) in
            guard self.isRunning else { return [] }
            let names = try self.names()
            let answer: String
            do throws(Fault) { answer = try self.ask("show protocols") } catch {
                // One that is just ending has no sessions any more.
                guard self.isRunning else { return [] }
                throw error
            }
            return answer.split(separator: "\n").compactMap { line in
                // name, protocol, table, state, since, the session's own state
                let words = line.split(separator: " ").map(String.init)
                guard words.count >= 6, words[1] == "BGP", let session = names[words[0]] else { return nil }
                return SessionFact(
                    speakerID: session.speaker, peerID: session.peer, isEstablished: words[5] == "Established",
                    state: words[5])
            }
        }
    }

    /// Ends the daemon, and with it every session.
    package func stop() async throws(Fault) {
        try await pool.run { () throws(Fault) in self.end() }
    }

    /// The names in the running configuration, which an earlier run may have written.
    private func names() throws(Fault) -> [String: (speaker: String, peer: String)] {
        var names: [String: (speaker: String, peer: String)] = [:]
        var speaker = ""
        for line in (FileSystem.text(configuration) ?? "").split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            if words.first == "#", words.count == 3 { speaker = words[2] }
            guard words.count == 4, words[0] == "protocol", words[1] == "bgp",
                let hex = words[2].split(separator: "_").last
            else { continue }
            names[words[2]] = (speaker, BIRDAdvertiser.dashed(String(hex)))
        }
        return names
    }

    private static func dashed(_ hex: String) -> String {
        var text = ""
        for (at, digit) in hex.enumerated() {
            if [8, 12, 16, 20].contains(at) { text.append("-") }
            text.append(digit)
        }
        return text
    }

    private var isRunning: Bool { daemon != nil }

    /// The daemon of this folder: its process has the socket among its arguments.
    private var daemon: ProcessHandle? {
        guard let pid = ProcessTable.pid(file: "\(folder)/bird.pid"), let handle = ProcessHandle(pid),
            handle.arguments.contains(socket)
        else { return nil }
        return handle
    }

    private func end() {
        if isRunning { _ = try? ask("down") }
        daemon?.end(grace: .seconds(3))
        for file in [socket, "\(folder)/bird.pid"] { FileSystem.remove(file) }
    }

    @discardableResult
    private func ask(_ words: String) throws(Fault) -> String {
        try Subprocess.check(
            ["birdc", "-r", "-s", socket].filter { $0 != "-r" || words.hasPrefix("show") }
                + words.split(separator: " ").map(String.init), timeout: .seconds(30))
    }
}
