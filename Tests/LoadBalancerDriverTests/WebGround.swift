// SPDX-License-Identifier: Apache-2.0
import Engines
import Kernel
import LoadBalancer
import LoadBalancerHAProxy
import Network

/// Web servers and a client on the near network, and balancers of provider `haproxy` between them.
struct WebGround {
    private static let guests = Ground.members + [Ground.guest("m2", "near", 13)]
    /// The members' addresses.
    static let members = guests.map { $0.addresses[0].address.description }

    let ground: BalancerGround

    static func with(_ walk: (WebGround) async throws -> Void) async throws {
        try await BalancerGround.with(guests + [Ground.client]) { ground in
            try await ground.exposeAddresses()
            try await walk(WebGround(ground: ground))
        }
    }

    var provider: HAProxyBalancers { ground.haproxy }
    var folder: String { ground.engines.paths.root }
    var client: Place { ground.spot(Ground.client) }
    func spot(_ index: Int) -> Place { ground.spot(Self.guests[index]) }

    static func balancer(_ listeners: [ListenerSpec], _ pools: [PoolSpec]) -> BalancerSpec {
        Ground.balancer([]) {
            ($0.listeners, $0.pools) = (listeners, pools)
            $0.addresses.removeAll { $0.address.contains(":") }
        }
    }

    static func pool(_ id: String, _ count: Int = 2, _ more: (inout PoolSpec) -> Void = { _ in }) -> PoolSpec {
        var pool = PoolSpec(id: id, protocol: .http, algorithm: .roundRobin)
        pool.members = members.prefix(count).enumerated().map {
            MemberSpec(id: "m\($0.offset)", address: $0.element, port: 8080)
        }
        more(&pool)
        return pool
    }

    /// A member that answers every request with its name.
    func serve(_ index: Int) throws -> ChildProcess {
        let script = "\(folder)/member\(index)"
        let text = "#!/bin/sh\nread line\nprintf 'HTTP/1.0 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nm\(index)'\n"
        try FileSystem.write(text, to: script, mode: 0o755)
        return try Subprocess.spawn(["socat", "TCP-LISTEN:8080,fork,reuseaddr", "EXEC:\(script)"], in: spot(index))
    }

    /// What the balancer answers to the client; the status and the body.
    func ask(_ url: String, _ more: String...) throws -> String { try ask(url, more, patience: 5) }

    private func ask(_ url: String, _ more: [String], patience: Int) throws -> String {
        let words = ["curl", "-s", "-k", "-m", "\(patience)", "-w", " %{http_code}"] + more + [url]
        return try Subprocess.runBlocking(words, timeout: .seconds(10), in: client).text
    }

    /// Asks until the answer is the wanted one: what takes time is the network's and the checks'.
    func becomes(_ wanted: String, _ url: String) throws -> Bool {
        for _ in 1...60 {
            if try ask(url, [], patience: 2) == wanted { return true }
            _ = try Subprocess.runBlocking(["sleep", "0.2"], timeout: .seconds(2))
        }
        return false
    }
}
