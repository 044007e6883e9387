-- Folders of the host's only below /srv, or read-only below /usr/share. For containers with their reason, and for each single mount.
local OPEN, READABLE = "/srv", "/usr/share"

--- The folders that it is of: an overlay has several.
local function folders_of(mount)
  local list = {}
  for _, field in ipairs { "source", "upper", "work" } do list[#list + 1] = mount[field] end
  for _, folder in ipairs(mount.lower or {}) do list[#list + 1] = folder end
  return list
end

rule "host folders" {
  on = "run",
  check = function(c)
    for _, mount in ipairs(c.mounts) do
      for _, source in ipairs(folders_of(mount)) do
        if not under(source, OPEN) and not (mount.readonly and under(source, READABLE)) then
          return deny(("%s on %s: only %s is shared, and %s read-only"):format(source, mount.target, OPEN, READABLE))
        end
      end
    end
    for _, source in ipairs { c.rootfs.persist or OPEN, unpack(c.rootfs.layers or {}) } do
      if not under(source, OPEN) then return deny(("%s in the root: only %s is shared"):format(source, OPEN)) end
    end
  end,
}

rule "never these" {
  on = "mount", with = "sources",
  check = function(m)
    for _, source in ipairs(m.sources or {}) do
      for _, secret in ipairs { "/etc/shadow", "/root/.ssh", "/var/run/docker.sock" } do
        if under(source, secret) then return deny(source) end
      end
    end
  end,
}
