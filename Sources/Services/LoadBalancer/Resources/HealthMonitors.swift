// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// How a pool finds out which of its members answer.
package struct HealthMonitor: Part {
    package static let table = "load_balancer_health_monitors"
    package static let noun = "healthmonitor"
    package static let plural = "healthmonitors"
    package static let title = "Health Monitor"
    package static let ruleName = "healthmonitor"
    package static let kin: Set<Forest.Kind> = []

    package var id: String, projectID: String, loadBalancerID: String, poolID: String
    var name: String
    package var provisioningStatus: ProvisioningStatus
    package var operatingStatus: OperatingStatus
    var enabled: Bool
    var type: MonitorKind, delay: Int, timeout: Int, maxRetries: Int, maxRetriesDown: Int
    var httpMethod: String?, urlPath: String?, expectedCodes: String?, httpVersion: Double?, domainName: String?
    package var tags: [String]
    package var createdAt: Timestamp
    package var updatedAt: Timestamp?
}

extension HealthMonitor: Resource {
    package static let routes: [Route] = LoadBalancerVersions.both("/lbaas/healthmonitors") { path in
        [
            .get(path, "List health monitors", of: OwnScope.from, allow: .listing, index),
            .post(
                path, "Create a health monitor", of: HealthMonitorDraft.drafted, allow: .write("healthmonitor:post"),
                create),
            .get(path + "/{id}", "Show health monitor details", of: found, allow: .read("healthmonitor:get_one"), show),
            .put(path + "/{id}", "Update a health monitor", of: found, allow: .write("healthmonitor:put"), update),
            .delete(
                path + "/{id}", "Remove a health monitor", of: found, allow: .write("healthmonitor:delete"), delete),
        ]
    }

    package static let migrations: [Migration] = [
        """
        2026-11-29 load balancer health monitors
        CREATE TABLE load_balancer_health_monitors (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, load_balancer_id VARCHAR(36) NOT NULL,
            pool_id VARCHAR(36) NOT NULL, name VARCHAR(255) NOT NULL, provisioning_status VARCHAR(16) NOT NULL,
            operating_status VARCHAR(16) NOT NULL, enabled INTEGER NOT NULL, type VARCHAR(36) NOT NULL,
            delay BIGINT NOT NULL, timeout BIGINT NOT NULL, max_retries INTEGER NOT NULL,
            max_retries_down INTEGER NOT NULL, http_method VARCHAR(16), url_path TEXT, expected_codes VARCHAR(255),
            http_version DOUBLE PRECISION, domain_name VARCHAR(255), tags TEXT NOT NULL, created_at BIGINT NOT NULL,
            updated_at BIGINT);
        CREATE INDEX load_balancer_health_monitors_by_balancer ON load_balancer_health_monitors (load_balancer_id);
        CREATE INDEX load_balancer_health_monitors_by_pool ON load_balancer_health_monitors (pool_id)
        """
    ]

    package static let filters = PartFilter.standing([
        .text("name"), .text("type"), .number("delay"), .number("timeout"), .number("max_retries"),
        .number("max_retries_down"), .text("http_method"), .text("url_path"), .text("expected_codes"),
        .text("domain_name"), .text("pool_id"), .truth("admin_state_up", "enabled"), .truth("enabled"),
    ])
}

// MARK: - Handlers

extension HealthMonitor {
    static func create(_ request: Request, _ draft: Drafted<HealthMonitorDraft>) async throws(Fault) -> Reply {
        let (monitor, balancer) = (draft.item, draft.balancer)
        let id = request.ids.uuid()
        try await request.database.transaction { transaction throws(Fault) in
            try Quotas.require(HealthMonitor.self, balancer.projectID, transaction, request)
            let named = monitor.poolID ?? ""
            let pool = try transaction.one(Pool.self, "id = \(named)", or: Pool.notFound(named))
            guard pool.provisioningStatus != .pendingDelete else { throw .immutable("Pool", pool.id) }
            try monitor.insert(transaction, id: id, pool, balancer, request)
            try transaction.touch(balancer.id, try Member.touched(transaction, pool.id), request)
        }
        return try await reply(request, id: id)
    }

    static func update(_ request: Request, _ found: HealthMonitor) async throws(Fault) -> Reply {
        let body = try request.body("healthmonitor")
        let pool = try await request.database.one(Pool.self, "id = \(found.poolID)", or: Pool.notFound(found.poolID))
        try await change(request, found.id) { transaction, row throws(Fault) in
            var body = body
            let web = ["http_method", "url_path", "expected_codes"]
            for name in web where !row.type.isWeb && body.has(name) {
                throw .invalidOption(name, "health monitors of type \(row.type.rawValue)")
            }
            for name in ["delay", "max_retries", "timeout"] where body.peek(name)?.isNull == true {
                throw .invalidOption("None", name)
            }
            try HealthMonitorDraft.read(&body, &row)
            try body.finish("health_monitor_.healthmonitor")
            try HealthMonitorRules.check(row, pool, request.balancing.options)
            return try Member.touched(transaction, row.poolID)
        }
        return try await reply(request, id: found.id)
    }

    static func delete(_ request: Request, _ found: HealthMonitor) async throws(Fault) -> Reply {
        try await leave(request, found.id) { transaction, row throws(Fault) in
            try Member.touched(transaction, row.poolID)
        }
        return .empty
    }
}

// MARK: - Wire

extension HealthMonitor {
    package func write(_ view: inout View, _ forest: Forest) {
        writeOwn(&view)
        view.links("pools", [poolID])
    }

    func writeOwn(_ view: inout View) {
        writeStanding(&view)
        view.put("name", name)
        view.put("admin_state_up", enabled)
        view.put("type", type.rawValue)
        view.put("delay", delay)
        view.put("timeout", timeout)
        view.put("max_retries", maxRetries)
        view.put("max_retries_down", maxRetriesDown)
        view.put("http_method", httpMethod)
        view.put("url_path", urlPath)
        view.put("expected_codes", expectedCodes)
        view.put("http_version", httpVersion)
        view.put("domain_name", domainName)
    }
}

/// A health monitor as asked for.
package struct HealthMonitorDraft: Sendable {
    private var template: HealthMonitor
    var poolID: String? { template.poolID.isEmpty ? nil : template.poolID }

    static func drafted(_ request: Request) async throws(Fault) -> Drafted<HealthMonitorDraft> {
        var body = try request.body("healthmonitor")
        body.ignore("project_id", "tenant_id")
        let named = try body.need("pool_id", .id)
        var draft = try HealthMonitorDraft(&body, "health_monitor_.healthmonitor")
        draft.template.poolID = named
        let pool = try await request.database.one(Pool.self, "id = \(named)", or: Pool.notFound(named))
        return Drafted(
            item: draft, balancer: try await Drafted<HealthMonitorDraft>.load(request, pool.loadBalancerID))
    }

    init(_ body: inout Body, _ argument: String) throws(Fault) {
        template = HealthMonitor(
            id: "", projectID: "", loadBalancerID: "", poolID: "", name: "", provisioningStatus: .pendingCreate,
            operatingStatus: .offline, enabled: true, type: try body.need("type", .one(of: MonitorKind.self)),
            delay: try body.need("delay", .whole(0)), timeout: try body.need("timeout", .whole(0)),
            maxRetries: try body.need("max_retries", .whole(1, 10)), maxRetriesDown: 3, httpMethod: nil,
            urlPath: nil, expectedCodes: nil, httpVersion: nil, domainName: nil, tags: [],
            createdAt: Timestamp(microseconds: 0), updatedAt: nil)
        let type = template.type
        for name in ["http_method", "url_path", "expected_codes"] where !type.isWeb && body.peek(name)?.isNull == true {
            body.ignore(name)
        }
        let own = template
        try HealthMonitorDraft.read(&body, &template)
        if !type.isWeb {
            for (name, value) in [
                ("http_method", template.httpMethod), ("url_path", template.urlPath),
                ("expected_codes", template.expectedCodes),
            ] where value != nil && value != "" {
                throw .invalidOption(name, "health monitors of type \(type.rawValue)")
            }
            (template.httpMethod, template.urlPath, template.expectedCodes) = (
                own.httpMethod, own.urlPath, own.expectedCodes
            )
        } else {
            template.httpMethod = template.httpMethod ?? HTTPMethod.get.rawValue
            template.urlPath = template.urlPath ?? "/"
            template.expectedCodes = template.expectedCodes ?? "200"
        }
        try body.finish(argument)
    }

    static func read(_ body: inout Body, _ row: inout HealthMonitor) throws(Fault) {
        let methods = Format<HTTPMethod>.one(of: HTTPMethod.self)
        let isWeb = row.type.isWeb
        try body.set("name", .words(), &row.name, none: "")
        try body.set("admin_state_up", .truth, &row.enabled, none: false)
        try body.set("delay", .whole(0), &row.delay, none: row.delay)
        try body.set("timeout", .whole(0), &row.timeout, none: row.timeout)
        try body.set("max_retries", .whole(1, 10), &row.maxRetries, none: row.maxRetries)
        try body.set("max_retries_down", .whole(1, 10), &row.maxRetriesDown, none: 3)
        if let method = try body.patch("http_method", methods) {
            row.httpMethod = method?.rawValue ?? (isWeb ? HTTPMethod.get.rawValue : nil)
        }
        if let path = try body.patch("url_path", .webPath) { row.urlPath = path ?? (isWeb ? "/" : nil) }
        if let codes = try body.patch("expected_codes", .codes) { row.expectedCodes = codes ?? (isWeb ? "200" : nil) }
        if let version = try body.patch("http_version", .version) { row.httpVersion = version }
        try body.set("domain_name", .domain, &row.domainName)
        try body.set("tags", .several(.words()), &row.tags, none: [])
    }

    func insert(
        _ transaction: Transaction, id: String, _ pool: Pool, _ balancer: LoadBalancer, _ request: Request
    ) throws(Fault) {
        var row = template
        row.id = id
        row.projectID = balancer.projectID
        row.loadBalancerID = balancer.id
        row.poolID = pool.id
        row.createdAt = request.now
        let options = request.balancing.options
        if row.type == .ping, !options.allowsPing {
            throw .badRequest("The selected type is not allowed in this deployment: PING")
        }
        try HealthMonitorRules.check(row, pool, options)
        let others = try transaction.count(
            HealthMonitor.self,
            "pool_id = \(pool.id) AND provisioning_status <> \(ProvisioningStatus.pendingDelete)")
        guard others == 0 else { throw .conflict("This pool already has a health monitor") }
        try ProviderRules(balancer, request).check(row, pool)
        try row.insert(transaction)
        try transaction.update(
            Member.self, set: "operating_status = \(OperatingStatus.offline)",
            where: "pool_id = \(pool.id) AND operating_status = \(OperatingStatus.noMonitor)")
    }
}

/// What must fit together about a health monitor.
enum HealthMonitorRules {
    static func check(_ row: HealthMonitor, _ pool: Pool, _ options: LoadBalancerOptions) throws(Fault) {
        if pool.protocol.isDatagram {
            guard [.udpConnect, .sctp, .tcp, .http].contains(row.type) else {
                throw .validation(
                    "The associated pool protocol is \(pool.protocol.rawValue), so only a UDP-CONNECT/SCTP/TCP/HTTP "
                        + "health monitor is supported.")
            }
            if row.type == .udpConnect, row.delay < options.leastDatagramDelay {
                throw .validation(
                    "The request delay value \(row.delay) should be larger than \(options.leastDatagramDelay) for "
                        + "UDP-CONNECT health monitor type.")
            }
        } else if row.type == .udpConnect || row.type == .sctp {
            throw .validation(
                "The \(row.type.rawValue) type is only supported for pools of type UDP/SCTP.")
        }
        guard row.domainName != nil else { return }
        guard let version = row.httpVersion else {
            throw .validation("'http_version' must be specified when 'domain_name' is provided.")
        }
        guard version >= 1.1 else {
            throw .invalidOption("http_version \(version)", "health monitors HTTP 1.1 domain name health check")
        }
    }
}

extension Format where Value == Double {
    /// A version of HTTP that a monitor may speak.
    fileprivate static var version: Format {
        Format { value, _ throws(Misfit) in
            let number: Double? =
                switch value {
                case .integer(let whole): Double(whole)
                case .double(let real): real
                case .string(let text): Double(text)
                default: nil
                }
            guard let number, number == 1.0 || number == 1.1 else { throw Misfit("Value should be one of: 1.0, 1.1") }
            return number
        }
    }
}
