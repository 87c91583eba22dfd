// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// An endpoint that a project sees. A project with any of these sees no others.
struct ProjectEndpoint: Record {
    static let table = "identity_project_endpoints"

    let endpointID: String
    let projectID: String
}

/// A group of endpoints that a project sees.
struct ProjectEndpointGroup: Record {
    static let table = "identity_project_endpoint_groups"

    let endpointGroupID: String
    let projectID: String
}

/// Which project sees which endpoints: the catalogue of its tokens holds no others.
enum EndpointFilters: Resource {
    static let routes: [Route] = [
        .get(
            "/OS-EP-FILTER/endpoints/{endpoint_id}/projects", "List projects of endpoint", of: Endpoint.found,
            allow: .inspector("list_projects_for_endpoint"), projectsOfEndpoint),
        .get(
            ofProject + "/endpoints", "List endpoints of project", of: Project.found,
            allow: .inspector("list_endpoints_for_project"), endpointsOfProject),
        .put(
            ofProject + "/endpoints/{endpoint_id}", "Add endpoint to project", of: endpointPair,
            allow: .administrator("add_endpoint_to_project"), add, status: 204),
        .get(
            ofProject + "/endpoints/{endpoint_id}", "Check endpoint in project", of: endpointPair,
            allow: .inspector("check_endpoint_in_project"), check, status: 204),
        .delete(
            ofProject + "/endpoints/{endpoint_id}", "Remove endpoint from project", of: Anything.from,
            allow: .administrator("remove_endpoint_from_project"), remove),
        .get(
            ofProject + "/endpoint_groups", "List endpoint groups of project", of: Project.found,
            allow: .inspector("list_endpoint_groups_for_project"), groupsOfProject),
        .get(
            ofGroup, "List projects of endpoint group", of: EndpointGroup.found,
            allow: .inspector("list_projects_associated_with_endpoint_group"), projectsOfGroup),
        .put(
            ofGroup + "/{project_id}", "Add endpoint group to project", of: groupPair,
            allow: .administrator("add_endpoint_group_to_project"), addGroup, status: 204),
        .get(
            ofGroup + "/{project_id}", "Show endpoint group in project", of: groupPair,
            allow: .inspector("get_endpoint_group_in_project"), showGroup),
        .delete(
            ofGroup + "/{project_id}", "Remove endpoint group from project", of: groupPair,
            allow: .administrator("remove_endpoint_group_from_project"), removeGroup),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 identity endpoint filters
        CREATE TABLE identity_project_endpoints (
            endpoint_id VARCHAR(64) NOT NULL, project_id VARCHAR(64) NOT NULL, PRIMARY KEY (endpoint_id, project_id));
        CREATE INDEX identity_project_endpoints_project ON identity_project_endpoints (project_id);
        CREATE TABLE identity_project_endpoint_groups (
            endpoint_group_id VARCHAR(64) NOT NULL, project_id VARCHAR(64) NOT NULL,
            PRIMARY KEY (endpoint_group_id, project_id));
        CREATE INDEX identity_project_endpoint_groups_project ON identity_project_endpoint_groups (project_id);
        """
    ]

    private static let ofProject = "/OS-EP-FILTER/projects/{project_id}"
    private static let ofGroup = "/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}/projects"

    private static func endpointPair(_ request: Request) async throws(Fault) -> Found<ProjectEndpoint> {
        let (endpointID, projectID) = (request["endpoint_id"], request["project_id"])
        guard try await request.database.count(Endpoint.self, "id = \(endpointID)") > 0 else {
            return Found(missing: .notFound("endpoint", endpointID), [:])
        }
        guard try await request.database.count(Project.self, "id = \(projectID)") > 0 else {
            return Found(missing: .notFound("project", projectID), [:])
        }
        return Found(ProjectEndpoint(endpointID: endpointID, projectID: projectID))
    }

    private static func groupPair(_ request: Request) async throws(Fault) -> Found<ProjectEndpointGroup> {
        let (groupID, projectID) = (request["endpoint_group_id"], request["project_id"])
        guard try await request.database.count(Project.self, "id = \(projectID)") > 0 else {
            return Found(missing: .notFound("project", projectID), [:])
        }
        guard try await request.database.count(EndpointGroup.self, "id = \(groupID)") > 0 else {
            return Found(missing: EndpointGroup.missing(groupID), [:])
        }
        return Found(ProjectEndpointGroup(endpointGroupID: groupID, projectID: projectID))
    }
}

extension ProjectEndpoint {
    fileprivate var condition: SQL { "endpoint_id = \(endpointID) AND project_id = \(projectID)" }
    fileprivate var missing: Fault { .notFound("Endpoint \(endpointID) not found in project \(projectID)") }
}

extension ProjectEndpointGroup {
    fileprivate var condition: SQL { "endpoint_group_id = \(endpointGroupID) AND project_id = \(projectID)" }
    fileprivate static let missing = Fault.notFound("Endpoint Group Project Association not found")
}

// MARK: - Endpoints one by one

extension EndpointFilters {
    static func projectsOfEndpoint(_ request: Request, _ found: Found<Endpoint>) async throws(Fault) -> Reply {
        let id = try found.get().id
        return try await projects(
            request, "id IN (SELECT project_id FROM identity_project_endpoints WHERE endpoint_id = \(id)) ORDER BY id")
    }

    static func endpointsOfProject(_ request: Request, _ found: Found<Project>) async throws(Fault) -> Reply {
        let id = try found.get().id
        let groups = try await request.database.all(EndpointGroup.self, groups(of: id))
        let own = Set(try await request.database.all(ProjectEndpoint.self, "project_id = \(id)").map(\.endpointID))
        let endpoints = try await request.database.all(Endpoint.self, "1 = 1 ORDER BY id").filter { endpoint in
            own.contains(endpoint.id) || groups.contains { $0.holds(endpoint) }
        }
        return .list("endpoints", endpoints.map { $0.details }, page: try request.page())
    }

    static func add(_ request: Request, _ found: Found<ProjectEndpoint>) async throws(Fault) -> Reply {
        let pair = try found.get()
        try await request.change { transaction throws(Fault) in
            try transaction.insert(pair, or: .duplicate("project_endpoint", "Duplicate entry"))
        }
        return .empty
    }

    static func check(_ request: Request, _ found: Found<ProjectEndpoint>) async throws(Fault) -> Reply {
        let pair = try found.get()
        _ = try await request.database.one(ProjectEndpoint.self, pair.condition, or: pair.missing)
        return .empty
    }

    static func remove(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let pair = ProjectEndpoint(endpointID: request["endpoint_id"], projectID: request["project_id"])
        try await request.change { transaction throws(Fault) in
            try transaction.delete(ProjectEndpoint.self, pair.condition, or: pair.missing)
        }
        return .empty
    }

    private static func projects(_ request: Request, _ condition: SQL) async throws(Fault) -> Reply {
        let projects = try await request.database.all(Project.self, condition)
        return .list("projects", projects.map { $0.details }, page: try request.page())
    }

    private static func groups(of projectID: String) -> SQL {
        """
        id IN (SELECT endpoint_group_id FROM identity_project_endpoint_groups WHERE project_id = \(projectID))
        ORDER BY id
        """
    }
}

// MARK: - Groups of endpoints

extension EndpointFilters {
    static func groupsOfProject(_ request: Request, _ found: Found<Project>) async throws(Fault) -> Reply {
        let groups = try await request.database.all(EndpointGroup.self, groups(of: try found.get().id))
        return .list("endpoint_groups", groups.map { $0.details }, page: try request.page())
    }

    static func projectsOfGroup(_ request: Request, _ found: Found<EndpointGroup>) async throws(Fault) -> Reply {
        let id = try found.get().id
        return try await projects(
            request,
            """
            id IN (SELECT project_id FROM identity_project_endpoint_groups WHERE endpoint_group_id = \(id))
            ORDER BY id
            """)
    }

    static func addGroup(_ request: Request, _ found: Found<ProjectEndpointGroup>) async throws(Fault) -> Reply {
        let pair = try found.get()
        try await request.change { transaction throws(Fault) in
            try transaction.insert(pair, or: .duplicate("project_endpoint_group", "Duplicate entry"))
        }
        return .empty
    }

    static func showGroup(_ request: Request, _ found: Found<ProjectEndpointGroup>) async throws(Fault) -> Reply {
        let pair = try found.get()
        _ = try await request.database.one(
            ProjectEndpointGroup.self, pair.condition, or: ProjectEndpointGroup.missing)
        return .object("project_endpoint_group") {
            $0.put("endpoint_group_id", pair.endpointGroupID)
            $0.put("project_id", pair.projectID)
            $0.links("OS-EP-FILTER/endpoint_groups/\(pair.endpointGroupID)/projects/\(pair.projectID)")
        }
    }

    static func removeGroup(_ request: Request, _ found: Found<ProjectEndpointGroup>) async throws(Fault) -> Reply {
        let pair = try found.get()
        try await request.change { transaction throws(Fault) in
            try transaction.delete(ProjectEndpointGroup.self, pair.condition, or: ProjectEndpointGroup.missing)
        }
        return .empty
    }
}

// MARK: - What goes with others

extension Transaction {
    /// Takes endpoints away with everything that names them.
    func removeEndpoints(_ condition: SQL) throws(Fault) {
        let within: SQL = "endpoint_id IN (SELECT id FROM identity_endpoints WHERE \(sql: condition))"
        try delete(ProjectEndpoint.self, within)
        try delete(PolicyAssociation.self, within)
        try delete(Endpoint.self, condition)
    }

    func removeEndpointFilters(of project: Project) throws(Fault) {
        try delete(ProjectEndpoint.self, "project_id = \(project.id)")
        try delete(ProjectEndpointGroup.self, "project_id = \(project.id)")
    }
}
