-- Every root is read-only, with a place to write to; and nothing that can be written can be executed.
--- Whether what is bound read-only can be written by another mount of the same files.
local function written_elsewhere(c, source)
  for _, other in ipairs(c.mounts) do
    if other.type == "bind" and not other.readonly and reaches(source, other.source) then return true end
    if other.upper and reaches(source, other.upper) then return true end
  end
end

rule "read-only root" {
  on = "run",
  change = function(c)
    c.rootfs.readonly = true
    local seen = {}
    for _, mount in ipairs(c.mounts) do
      seen[mount.target] = true
      local writable = mount.type == "tmpfs" or mount.type == "overlay" and mount.upper
      if writable or mount.type == "bind" and (not mount.readonly or written_elsewhere(c, mount.source)) then mount.noexec = true end
    end
    for _, target in ipairs { "/tmp", "/run" } do
      if not seen[target] then c.mounts[#c.mounts + 1] = tmpfs { target, size = "64MiB", noexec = true } end
    end
  end,
}
