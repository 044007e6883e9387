-- Nothing that reaches the host: for containers by their table, and for whatever sets capabilities or joins namespaces by itself.
local GRANTED = {
  "chown", "dac_override", "fowner", "fsetid", "kill", "net_bind_service", "setfcap", "setgid", "setpcap", "setuid", "sys_chroot",
}

rule "no more capabilities than the defaults" {
  on = { "run", "exec" },
  check = function(c)
    for _, name in ipairs(c.capabilities) do
      if not has(GRANTED, name) then return deny("the capability " .. name) end
    end
  end,
}

rule "no namespaces of the host's" {
  on = "run",
  check = function(c)
    for _, kind in ipairs { "net", "ipc", "uts", "pid", "cgroup" } do
      if c.namespaces[kind] ~= "new" then return deny(("the %s namespace must be the container's own"):format(kind)) end
    end
  end,
}

rule "filtered" {
  on = "run",
  check = function(c)
    if c.seccomp ~= "default" then return deny "the system call filter must be the default one" end
    if not c.no_new_privs then return deny "no_new_privs can't be switched off" end
    if #c.devices > 0 then return deny("the device " .. c.devices[1].path) end
  end,
}

rule "closed" {
  on = "run",
  check = function(c)
    if c.privileged then return deny "it could do on the host what root can: look at readonly_paths, and at mounts of /proc and /sys" end
  end,
}

-- Whoever sets them: the library for a container, or a script that is allowed primitives.
rule "capabilities as they are set" {
  on = "capability",
  check = function(r)
    if r.primitive == "security.limit_bounding" then return end  -- that only takes away
    for _, name in ipairs(r.capabilities) do
      if not has(GRANTED, name) then return deny("the capability " .. name) end
    end
  end,
}

rule "namespaces as they are joined" {
  on = "setns",
  check = function(r)
    if r.primitive == "setns" then return deny "namespaces of others" end
  end,
}
