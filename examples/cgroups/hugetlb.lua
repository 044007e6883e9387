-- Huge pages: at most two of 2 MiB; the third is refused.
-- Prints the limit, and how many MiB of a hugetlbfs a process could fill.
-- Needs root, the hugetlb controller, and for the effect three pages of the host's (vm.nr_hugepages).
local sys = require "luabox.sys"

local group = sys.cgroup.create "walk-hugetlb"
group:write { ["hugetlb.2MB.limit_in_bytes"] = "4MiB" }
print("limit", group:read "hugetlb.2MB.max")

local process = sys.clone({ namespaces = "mount", cgroup = group }, function()
  sys.mount.private "/"
  sys.mount.make("hugetlbfs", { options = { pagesize = "2M" } }):attach_at "/mnt"
  sys.exec { "/bin/bash", "-c", [[
    for i in 1 2 3; do fallocate -l $((i * 2))M /mnt/page 2>/dev/null || break; done
    echo "filled $(($(stat -c %b*%B /mnt/page) / 1048576)) MiB"
  ]] }
end)
process:release()
process:wait()
