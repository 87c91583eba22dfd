# SPDX-License-Identifier: Apache-2.0
"""The ways in which a good request is made bad; each is one small function of a seeded generator."""
import copy
import json

STRINGS = ["", " ", "a" * 256, "a" * 70000, "'; DROP TABLE compute_servers; --", "%s%n", "../../etc/passwd", "\u0000",
           "a\u0000b", "\u202e\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), "ä" * 200, "\r\nX-Bad: 1",
           "null", "-1", "0", "1e9", "99999999999999999999", "true", "None", "{}", "*", "\ufeff", "\U0010ffff",
           "00000000-0000-0000-0000-000000000000", "not-a-uuid", "256.1.1.1", "::/200", "10.0.0.0/33", "fa:16:3e:zz",
           "2036-13-45T99:99:99Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "=" * 9, "<script>", "$(id)"]
NUMBERS = [0, -1, 1, 65536, 2**31 - 1, 2**31, -(2**31) - 1, 2**53, 2**63 - 1, -(2**63), 1.5, -0.0, 1e308, 5e-324]
OTHERS = [None, True, False, [], {}, [None], [[]], [{}], {"": None}, {"a": {"b": {"c": [1, "2", None]}}}]


def junk(rng):
    """A value of any type."""
    return copy.deepcopy(rng.choice(rng.choice([STRINGS, NUMBERS, OTHERS])))


def places(value, path=()):
    """Every member and item of a document, as paths from its root."""
    found = []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found.append(path + (key,))
        found += places(inner, path + (key,))
    return found


def at(document, path):
    for key in path:
        document = document[key]
    return document


def change(document, rng):
    """One change to a document; returns (document, what was done, the names a complaint should mention)."""
    spots = places(document)
    if not spots:
        return junk(rng), "replaced", []
    path = rng.choice(spots)
    holder, key = at(document, path[:-1]), path[-1]
    names = [str(part) for part in path if isinstance(part, str)]
    kind = rng.choice(["replace", "replace", "replace", "missing", "unknown", "null", "retype", "repeat", "root", "many"])
    if kind == "missing":
        del holder[key]
        names = names if isinstance(holder, dict) else []
    elif kind == "unknown" and isinstance(holder, dict):
        name = rng.choice(["fuzz_unknown", "", "id", "a" * 300, "\u0000", "links", "project_id"])
        holder[name] = junk(rng)
        names = [*names[:-1], name] if name != "\u0000" else []
    elif kind == "null":
        holder[key] = None
    elif kind == "retype":
        old = holder[key]
        holder[key] = [old] if not isinstance(old, list) else {"0": old}
    elif kind == "repeat" and isinstance(holder, list):
        holder += [copy.deepcopy(holder[key])] * rng.choice([1, 300, 5000])
    elif kind == "many" and isinstance(holder, dict) and rng.random() < 0.2:
        holder.update({f"m{at}": at for at in range(rng.choice([100, 20000]))})
        names = []
    elif kind == "root" and rng.random() < 0.3:
        return junk(rng), "root", []
    else:
        kind = "replace"
        holder[key] = junk(rng)
    return document, kind, names


def spoil(data, rng):
    """Damages the bytes of a document so that it is JSON no more, or barely."""
    kind = rng.randrange(12)
    cut = rng.randrange(len(data) + 1)
    if kind == 0:
        return data[:cut]
    if kind == 1:
        return data[:cut] + bytes([rng.randrange(256)]) + data[cut:]
    if kind == 2:
        return data.replace(b'"', b'"\xff\xfe', 1)
    if kind == 3:
        return b"[" * 5000
    if kind == 4:
        return b'{"a":' * 2000 + b"1" + b"}" * 2000
    if kind == 5:
        return b"\xef\xbb\xbf" + data
    if kind == 6 and data[:1] == b"{" and len(data) > 2:
        return b"{" + data[1:-1] + b"," + data[1:]  # every key of the root twice
    if kind == 7:
        return data.replace(b":", b": 1e99999, ", 1)
    if kind == 8:
        return data + rng.choice([b"x", b"{}", b"\x00", b"\n\n"])
    if kind == 9:
        return data.replace(b'"', b'"\\ud800', 1)
    if kind == 10:
        return rng.choice([b"NaN", b"Infinity", b"-", b"1" * 5000, b'"', b"\x00", b"<xml/>", b"a=b&c=d", b"tru", b" "])
    return rng.randbytes(rng.choice([1, 16, 3000]))


QUERIES = ["limit=-1", "limit=0", "limit=1", "limit=99999999999999999999", "limit=abc", "limit=", "limit=1&limit=2",
           "sort_key=;DROP", "sort_key=id&sort_dir=sideways", "sort=name:up,id:asc", "sort_key=name&sort_key=name",
           "sort_key=created_at&sort_dir=asc&limit=2", "sort=", "sort_dir=desc", "marker=x", "marker=", "marker=%00",
           "%00=1", "a=%ff", "%ff=%fe", "%zz=1", "%", "&&&===", "a" * 3000 + "=1", "name=" + "b" * 5000, "fields=id",
           "fields=id&fields=nope", "fields=", "name=%27%20OR%201=1--", "name=a&name=b", "page_reverse=maybe&limit=1",
           "page_reverse=true&limit=2", "all_tenants=1", "all_tenants=x", "tenant_id=x", "project_id=", "deleted=True",
           "changes-since=yesterday", "changes-since=2020-01-01T00:00:00Z", "status=ACTIVE&status=ERROR", "status=x",
           "ip=[", "ip=10.0.0.(", "name=(((", "name=*", "reservation_id=1", "flavor=x", "image=x", "host=fake-1", "detailed=1",
           "created_at=gt:x", "created_at=between:1,2", "size_min=a", "size_max=-5", "visibility=x", "tag=a&tag=b",
           "member_status=x", "owner=x", "protected=perhaps", "name=in:a,%22b", "name=in:%22", "id=in:a,b", "os_hidden=x",
           "effective&user.id=x", "scope.project.id=x&effective=&include_names=1", "name__contains=a", "name__like=%25",
           "enabled=x", "parents_as_list&subtree_as_ids", "parents_as_ids&subtree_as_list&include_limits", "nocatalog",
           "resources=VCPU:1", "resources=VCPU:0", "resources=VCPU", "resources=VCPU:a,X:1", "resources=:", "resources=",
           "resources=VCPU:1&required=!HW_CPU_X86_AVX,COMPUTE_NODE&limit=1", "required=in:A,B", "member_of=in:a,b",
           "member_of=!x", "resources1=VCPU:1&resources2=VCPU:1&group_policy=none", "group_policy=x", "in_tree=x",
           "resources1=VCPU:1", "root_required=x", "same_subtree=_A", "resources=VCPU:99999999999999999999", "uuid=x",
           "start=2020-01-01T00:00:00&end=2010-01-01T00:00:00&detailed=1", "start=x", "tenant_id=%00", "is_public=none",
           "minDisk=a", "minRam=-1", "tags=a,b&not-tags=c", "tags-any=", "fixed_ips=ip_address%3D10", "fixed_ips=x",
           "fixed_ips=ip_address_substr%3D(", "mac_address=x", "router:external=x", "shared=perhaps", "admin_state_up=z",
           "ip_version=x", "provider:segmentation_id=a", "id=" + "x" * 200, "not_a_filter=1", "associated=False",
           "type=%E2%82%AC", "binary=%00", "force=maybe", "cascade=true", "user_id=%ff", "with_servers=x", "q=%F0%9F%98%80",
           "tags=" + "a," * 3000, "tags-any=" + "a," * 3000, "not-tags=,", "created_at=&" * 1200, "tag=a&" * 1200,
           "sort_key=id&" * 1200 + "marker=x", "sort=" + "id:asc," * 1000, "required=" + "CUSTOM_A," * 1000,
           "member_of=in:" + "x," * 3000, "name=in:" + "a," * 3000, "host=x&" * 1500, "size_min=1&" * 1200,
           "&".join(f"resources{at}=VCPU:1" for at in range(500)), "fixed_ips=ip_address_substr%3D1&" * 400]

HEADERS = [("Content-Type", "text/plain"), ("Content-Type", "application/xml"), ("Content-Type", "application/json; charset=\xff"),
           ("Content-Type", ""), ("Accept", "text/html"), ("Accept", "*/*;q=x"), ("Accept-Language", "xx" * 400),
           ("X-Forwarded-For", "1.2.3.4"), ("X-Identity-Status", "Confirmed"), ("X-Roles", "admin"), ("X-User-Id", "admin"),
           ("X-Project-Id", "admin"), ("X-Service-Token", "x"), ("X-Subject-Token", "x"), ("X-Subject-Token", ""),
           ("X-Openstack-Request-Id", "req-\x01"), ("X-Openstack-Request-Id", "a" * 4000), ("If-Match", "*"), ("Range", "bytes=9-2"),
           ("Range", "bytes=0-"), ("Range", "junk"), ("If-None-Match", '"x"'), ("Content-Range", "bytes 0-1/x"), ("Origin", "http://evil"),
           ("Cookie", "a=b"), ("Host", "[::1"), ("Host", ""), ("Expect", "200-maybe"), ("Connection", "close"), ("Content-MD5", "x"),
           ("X-HTTP-Method-Override", "DELETE"), ("Openstack-Auth-Receipt", "x"), ("X-Image-Meta-Store", "none"),
           ("OpenStack-API-Version", "compute 2.9999"), ("OpenStack-API-Version", "compute"), ("OpenStack-API-Version", "placement 1.x"),
           ("OpenStack-API-Version", "identity 3"), ("X-OpenStack-Nova-API-Version", "2.-1"), ("X-OpenStack-Nova-API-Version", "99999999999.1"),
           ("X-Glance-Wait", "x"), ("Content-Encoding", "gzip"), ("Accept-Encoding", "br"), ("X-Fuzz", "y" * 9000)]

SEGMENTS = ["x", "%00", "%ff", "%2e%2e", "..", ".", "%2F", "a" * 300, "%E2%82%AC", "'", "%27%3B--", "0", "-1", "detail", "null",
            "99999999999999999999", "00000000-0000-0000-0000-000000000000", "CUSTOM_X", "VCPU", "default", "%", "%zz", "a%20b", "*"]

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO", "get", "COPY", "CONNECTX"]


def token(good, rng):
    """What a thief or a clumsy client would send for a token."""
    kind = rng.randrange(8)
    if kind == 0:
        return None
    if kind == 1:
        spot = rng.randrange(len(good) - 2)  # the last character may hold unused bits
        return good[:spot] + ("A" if good[spot] != "A" else "B") + good[spot + 1:]
    if kind == 2:
        return good[:rng.randrange(len(good) - 4)]
    if kind == 3:
        return good + rng.choice(["A", "==x", " x", good])
    return ["", "gAAAAA", "\xff\xfe", "x" * 8000][kind - 4]


def dumps(document):
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")
