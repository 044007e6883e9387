-- program.lua: the container's terminal, its environment, and its command.
local sys = require "luabox.sys"
local errors = require "luabox.errors"
local schema = require "luabox.schema"
local users = require "luabox.users"

local program = {}

local PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

-- Where what containers write is appended, when they go on without their caller: { output = a path or nil }.
local detached

--- From here on containers have nobody's streams: nothing to read, and what they write is appended to the file `output`, or thrown away.
---@param output? string
function program.detach(output) detached = { output = output } end

--- Whether the container gets a terminal of its own: when the caller sits at one, unless the script says.
function program.wants_terminal(config)
  if detached then return false end
  if config.terminal ~= nil then return config.terminal end
  return sys.file.is_terminal(0) and sys.file.is_terminal(1)
end

--- What the command's environment is: a list of "NAME=value".
function program.environment(this)
  local values = { PATH = PATH, HOSTNAME = this.config.hostname, HOME = this.user.home }
  if this.terminal then values.TERM = os.getenv "TERM" or "xterm" end
  for name, value in pairs(this.config.env or {}) do values[name] = value end
  local list = {}
  for name, value in pairs(values) do list[#list + 1] = name .. "=" .. (type(value) == "number" and schema.digits(value) or value) end
  table.sort(list)
  return list
end

-- ---- before "/" is closed: who runs, and on which terminal

--- A terminal of the container's own takes the place of the caller's; its master goes to the parent.
function program.open_terminal(this)
  local master, slave = sys.terminal.open(this.root)
  sys.terminal.set_owner(slave, this.user.uid, users.are_mapped(this.config) and 0 or 5)
  sys.terminal.use(slave, { all = this.config.terminal == true })
  this.parent:send("terminal", master:number())
  return slave
end

program.opening = { key = "user" }

--- What a container that is detached has instead of its caller's streams.
---@class luabox.Streams
local Streams = {}
Streams.__index = Streams

local function open_streams(path) return setmetatable({ output = sys.output_file(path or "/dev/null") }, Streams) end

--- They become those of this process.
function Streams:use()
  sys.redirect(sys.text_file "", 0)
  sys.redirect(self.output, 1)
  sys.redirect(self.output, 2)
end

function program.opening.enter(this)
  this.user = users.lookup(this)
  if this.streams then this.streams:use() end
  if not this.terminal then return end
  local slave = program.open_terminal(this)
  sys.mount.copy_of("/proc/self/fd/" .. slave:number(), { recursive = false }):attach(this.root, "/dev/console")
end

-- ---- the last step

program.step = { namespaces = "pid ipc", key = "command" }

local OUTPUTS = { 1, 2 }

function program.step.prepare(this)
  if this.terminal then return end
  if not detached then sys.open_up_pipes() end
  this.streams = detached and open_streams(detached.output)
  local is_file = detached and detached.output and sys.file.kind(detached.output) == "file"
  this.relay = not detached and sys.relay(OUTPUTS) or is_file and sys.relay(OUTPUTS, this.streams.output) or nil
end

--- At the end of the command, or of a start that fails.
function program.step.undo(this)
  local relay = this.relay
  this.relay = nil
  if relay then relay:finish() end
  this.streams = nil  -- not before: the relay leads to one of them
end

--- The folder is opened beneath the root, without magic links: "/proc/self/fd/7" leads nowhere (CVE-2024-21626).
function program.enter_folder(this)
  local ok, problem = errors.try(this.root.enter, this.root, this.config.cwd)
  if ok then return end
  problem.where = schema.line_of_key(this.where, "cwd")
  problem.message = ("cwd: %s"):format(problem.message)
  error(problem, 0)
end

function program.step.enter(this)
  local options = { environment = program.environment(this), session = true, terminal = this.terminal, filter = this.own_filter,
    log_refused = this.log_refused, small = this.rootless }
  if this.relay then this.relay:enter() end
  sys.refuse_foreign_sockets()
  if this.config.init == false then
    sys.exec(this.config.command, options)
  else
    sys.init(this.config.command, options)
  end
end

return program
