-- Folders of the host's only below /srv, or read-only below /usr/share. For containers with their reason, and for each single mount.
local OPEN, READABLE = "/srv", "/usr/share"

rule "host folders" {
  on = "run",
  check = function(c)
    for _, mount in ipairs(c.mounts) do
      for _, source in ipairs { mount.source, mount.upper, mount.work } do
        if not under(source, OPEN) and not (mount.readonly and under(source, READABLE)) then
          return deny(("%s on %s: only %s is shared, and %s read-only"):format(source, mount.target, OPEN, READABLE))
        end
      end
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
