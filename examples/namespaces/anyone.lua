-- What the walks here share: root makes namespaces as they are; anyone else first needs a user namespace, in which he is root.
-- Prints nothing; `require "anyone"` gives clone(namespaces, function) and words(namespaces).
-- Needs nothing, where the kernel lets ordinary users make user namespaces.
local sys = require "luabox.sys"

local anyone = { root = sys.uid() == 0 }

--- The words of the namespaces, with "user" where this isn't root.
function anyone.words(namespaces)
  return anyone.root and namespaces or "user " .. namespaces
end

--- A process in new namespaces, that runs `body` up to its exec. It waits in between: the maps must be there before.
function anyone.clone(namespaces, body)
  local process = sys.clone({ namespaces = anyone.words(namespaces) }, body)
  if not anyone.root then
    sys.user.write_id_maps(process, {
      uid = { ("0 %d 1"):format(sys.uid()) }, gid = { ("0 %d 1"):format(sys.gid()) },  -- inside, outside, how many
      setgroups = "deny",  -- or the gid map is refused: a group that only takes rights away could be left
    })
  end
  process:release()
  return process
end

return anyone
