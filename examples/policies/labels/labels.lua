-- Everything that runs says whose it is and how much it matters.
local TIERS = { "production", "staging", "toy" }

rule "labels" {
  on = "run",
  check = function(c)
    if not (c.labels.team or ""):find "^%l[%l%d-]+$" then return deny "labels = { team = \"...\" } must say whose it is" end
    if not has(TIERS, c.labels.tier) then return deny("labels.tier must be one of " .. table.concat(TIERS, ", ")) end
  end,
}

rule "toys yield" {
  on = "run",
  change = function(c)
    if c.labels.tier == "toy" then c.cgroup.cpu_weight = 10 end
  end,
}
