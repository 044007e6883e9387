local function box(fields)
  fields.rootfs, fields.command = "/", { "sh" }
  return fields
end

case "the plainest" { container = box {}, allowed = true }
case "fewer capabilities" { container = box { capabilities = "none" }, allowed = true }
case "one more" {
  container = box { capabilities = { add = { "sys_admin" } } },
  refused_by = "no more capabilities than the defaults", reason = "sys_admin",
}
case "the host's network" { container = box { network = "host" }, refused_by = "no namespaces of the host's", reason = "net" }
case "a network that is joined" { container = box { namespaces = { net = "/proc/1/ns/net" } }, refused_by = "no namespaces of the host's" }
case "the host's processes" { container = box { namespaces = { pid = "host" } }, refused_by = "no namespaces of the host's", reason = "pid" }
case "no filter" { container = box { seccomp = "unconfined" }, refused_by = "filtered", reason = "filter" }
case "a filter of its own" { container = box { seccomp = { default = "allow" } }, refused_by = "filtered", reason = "filter" }
case "setuid programs" { container = box { no_new_privs = false }, refused_by = "filtered", reason = "no_new_privs" }
case "a device" { container = box { devices = { "/dev/null" } }, refused_by = "filtered", reason = "/dev/null" }
case "the kernel's settings" { container = box { readonly_paths = {} }, refused_by = "closed", reason = "readonly_paths" }
case "the host's /proc" { container = box { mounts = { bind { "/proc", "/mnt" } } }, refused_by = "closed" }
case "a /sys to write to" { container = box { mounts = { sysfs { "/sys", readonly = false } } }, refused_by = "closed" }
case "a second /proc" { container = box { mounts = { proc "/mnt" } }, allowed = true }
case "another primitive" {
  on = "capability", request = { primitive = "security.set_capabilities", capabilities = { "sys_module" } },
  refused_by = "capabilities as they are set",
}
case "a namespace" {
  on = "setns", request = { primitive = "setns", process = 1, namespaces = { "net" } }, refused_by = "namespaces as they are joined",
}
case "a primitive" {
  on = "capability", request = { primitive = "security.apply", capabilities = { "sys_module" } },
  refused_by = "capabilities as they are set",
}
case "an exec" { on = "exec", request = { capabilities = { "sys_ptrace" } }, refused_by = "no more capabilities than the defaults" }
