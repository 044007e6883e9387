-- Every root is read-only, with a place to write to; and nothing that can be written can be executed.
rule "read-only root" {
  on = "run",
  change = function(c)
    c.rootfs.readonly = true
    local seen = {}
    for _, mount in ipairs(c.mounts) do
      seen[mount.target] = true
      if (mount.type == "bind" and not mount.readonly) or mount.type == "tmpfs" then mount.noexec = true end
    end
    for _, target in ipairs { "/tmp", "/run" } do
      if not seen[target] then c.mounts[#c.mounts + 1] = tmpfs { target, size = "64MiB", noexec = true } end
    end
  end,
}
