-- So many containers, and so much memory, for each user; whom a session belongs to counts, not what sudo made of it.
local CONTAINERS, MEMORY = 4, GiB(8)

rule "every container has a limit" {
  on = { "run", "update" },
  change = function(c) c.cgroup.memory = math.min(c.cgroup.memory or GiB(1), GiB(4)) end,
}

rule "containers" {
  on = "run", needs = "running",
  check = function(c)
    if #c.running >= CONTAINERS then return deny(("%d containers run already"):format(#c.running)) end
  end,
}

rule "quota" {
  on = { "run", "update" }, needs = "running",
  check = function(c)
    local memory = c.cgroup.memory
    for _, other in ipairs(c.running) do memory = memory + (other.memory or GiB(4)) end
    if memory > MEMORY then return deny(("%.1f GiB of memory with what runs, more than %d"):format(memory / GiB(1), MEMORY / GiB(1))) end
  end,
}
