-- A uts namespace: a host name and a (NIS) domain name of its own.
-- Prints both as they are inside, and as they are outside then.
-- Needs nothing.
local sys = require "luabox.sys"
local anyone = require "anyone"

local SHOW = 'echo "$0: $(uname -n) $(cat /proc/sys/kernel/domainname)"'

anyone.clone("uts", function()
  sys.sethostname "container"
  sys.setdomainname "example.org"
  sys.exec { "/bin/sh", "-c", SHOW, "inside" }
end):wait()

os.execute(("/bin/sh -c '%s' outside"):format(SHOW))
