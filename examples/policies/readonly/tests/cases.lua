local function mount(c, target)
  for _, each in ipairs(c.mounts) do
    if each.target == target then return each end
  end
end

case "the root" { container = { rootfs = "/", command = { "sh" } }, changed = function(c) return c.rootfs.readonly end }
case "a place to write to" { container = { rootfs = "/", command = { "sh" } }, changed = function(c) return mount(c, "/tmp").noexec end }
case "what can be written is not executed" {
  container = { rootfs = "/", command = { "sh" }, mounts = { bind { "/usr", "/data" } } }, changed = function(c) return mount(c, "/data").noexec end,
}
case "nor by another mount of it" {
  container = { rootfs = "/", command = { "sh" }, mounts = { bind { "/usr", "/data" }, bind { "/usr/share", "/tools", readonly = true } } },
  changed = function(c) return mount(c, "/tools").noexec end,
}
case "nor in an overlay" {
  container = { rootfs = "/", command = { "sh" }, mounts = { overlay { "/data", lower = { "/usr" }, upper = "/srv", work = "/srv" } } },
  changed = function(c) return mount(c, "/data").noexec end,
}
case "what can't be written is left" {
  container = { rootfs = "/", command = { "sh" }, mounts = { bind { "/usr", "/data", readonly = true } } },
  changed = function(c) return mount(c, "/data").noexec == nil end,
}
