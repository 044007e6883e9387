local function box(...) return { rootfs = "/", command = { "sh" }, mounts = { ... } } end

case "none" { container = box(tmpfs "/tmp"), allowed = true }
case "a folder of /srv" { container = box(bind { "/srv", "/data" }), allowed = true }
case "the host's root" { container = box(bind { "/", "/host" }), refused_by = "host folders", reason = "/ on /host" }
case "by .." { container = box(bind { "/srv/../etc", "/data" }), refused_by = "host folders", reason = "/etc on /data" }
case "read-only, where it may be" { container = box(bind { "/usr/share", "/data", readonly = true }), allowed = true }
case "the same to write" { container = box(bind { "/usr/share", "/data" }), refused_by = "host folders" }
case "an overlay of others" {
  container = box(overlay { "/data", lower = { "/srv", "/etc" } }), refused_by = "host folders", reason = "/etc on /data",
}
case "one that writes elsewhere" {
  container = box(overlay { "/data", lower = { "/srv" }, upper = "/var", work = "/srv" }), refused_by = "host folders", reason = "/var on /data",
}
case "an overlay of its own" { container = box(overlay { "/data", lower = { "/srv", "/srv" } }), allowed = true }
case "a layer of the root" {
  container = { rootfs = directory { "/", layers = { "/etc" } }, command = { "sh" } }, refused_by = "host folders", reason = "/etc in the root",
}
case "a single mount" { on = "mount", request = { type = "bind", sources = { "/etc/shadow" } }, refused_by = "never these", reason = "/etc/shadow" }
case "any other" { on = "mount", request = { type = "tmpfs" }, allowed = true }
