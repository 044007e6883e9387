-- host_ends.lua: the host's ends of containers' pairs, which may outlive them.
--
-- A network namespace lives for as long as one of its sockets does, also one that was handed to another container, or whose last packet nobody has
-- answered yet; and with it its pair, which no record lists any more. So each host end says whose it is, as its alias.
local sys = require "luabox.sys"
local state = require "luabox.state"

local host_ends = {}

local MOST = 255  -- bytes of an alias

--- By which this state's are known; nil where there is no state. Its path is not enough: in another mount namespace it may be another state's.
local function mark()
  local folder = state.folder()
  return sys.file.kind(folder) and ("luabox %s "):format(sys.file.identity(folder))
end

--- The alias of a host end, to be given to it when it is made.
function host_ends.alias() return (mark() .. sys.file.absolute(state.folder())):sub(1, MOST) end

local function is_own(link)
  local own = link.name:match "^lb%x%x%x%x%x%x%x%x$" and mark()
  return own and link.alias:sub(1, #own) == own
end

--- The names of the interfaces that records list; nil where a record could not be read.
local function recorded()
  local containers, problems = state.list()
  if problems[1] then return nil end
  local names = {}
  for _, container in ipairs(containers) do
    for _, resource in ipairs(container.record.resources or {}) do
      if resource.kind == "interface" then names[resource.name] = true end
    end
  end
  return names
end

--- Removes those among `links` that are of this state, and that no record lists: it was written before they were made, so it is read after they were
--- seen. Returns their names.
local function remove_unrecorded(links)
  local own, removed = {}, {}
  for _, link in ipairs(links) do
    if is_own(link) then own[#own + 1] = link.name end
  end
  local names = own[1] and recorded()
  for _, name in ipairs(names and own or {}) do
    if not names[name] then
      state.remove_interface(name)
      removed[#removed + 1] = name
    end
  end
  return removed
end

--- Removes the host ends that containers of this state have left. Returns their names.
function host_ends.collect() return remove_unrecorded(sys.net.links()) end

--- Removes the interface `name` if it is one of these. Returns whether it is gone.
function host_ends.remove(name)
  local link = sys.net.find(name)
  return not link or #remove_unrecorded { link } > 0
end

return host_ends
