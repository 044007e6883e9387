-- luabox image: import, list and remove images.
local cli = require "luabox.cli"
local sys = require "luabox.sys"
local errors = require "luabox.errors"
local images = require "luabox.images"
local units = require "luabox.units"

local INTERRUPTED = 130

local image = { summary = "Import, list and remove images.", words = { import = { "files", "none" }, rm = { "image" } } }

-- ---- progress

local QUIET_SECONDS = 15  -- between plain lines, where standard error is no terminal
local DRAW_SECONDS = 0.1

local function megabytes(bytes)
  if bytes > 0 and bytes < 1e5 then return ("%.0f kB"):format(bytes / 1e3) end
  return ("%.1f MB"):format(bytes / 1e6)
end

local function bar(width, share)
  local full = math.floor(width * share)
  return "[" .. ("#"):rep(full) .. ("."):rep(width - full) .. "]"
end

--- One line for `p`: with a bar and the time left where the source's size is known.
local function progress_line(name, p, seconds, columns)
  local speed = p.bytes / math.max(seconds, 0.001)
  local text = ("%s, %d files, %s/s"):format(megabytes(p.bytes), p.members, megabytes(speed))
  if p.total > 0 then
    local share = math.min(p.read / p.total, 1)
    local left = share > 0 and seconds / share - seconds or 0
    text = ("%3.0f%% %s, %d s left"):format(share * 100, text, left)
    local room = columns - #name - #text - 6
    if room >= 10 then text = bar(math.min(room, 40), share) .. " " .. text end
  end
  return (name .. " " .. text):sub(1, columns - 1)
end

--- What shows the import of `name` on standard error: a function for each step, and one for the end.
local function progress_of(name)
  local terminal = sys.file.is_terminal(2)
  local began = sys.monotonic()
  local shown = terminal and 0 or began
  local function show(p)
    local now = sys.monotonic()
    if now - shown < (terminal and DRAW_SECONDS or QUIET_SECONDS) then return end
    shown = now
    local columns = terminal and (sys.terminal.size(2) or {}).columns or 200
    local line = progress_line(name, p, now - began, math.max(columns, 20))
    io.stderr:write(terminal and "\r" or "", line, terminal and "\27[K" or "\n")
  end
  return show, function()
    if terminal and shown > 0 then io.stderr:write "\r\27[K" end
    return sys.monotonic() - began
  end
end

-- ---- commands

local function count(number, noun)
  return ("%d %s%s"):format(number, noun, number == 1 and "" or "s")
end

--- "2 device nodes and 1 attribute were skipped", or nil.
local function skipped_line(skipped)
  local parts = {}
  for _, kind in ipairs { { "devices", "device node" }, { "sockets", "socket" }, { "xattrs", "extended attribute" } } do
    if skipped[kind[1]] > 0 then parts[#parts + 1] = count(skipped[kind[1]], kind[2]) end
  end
  return #parts > 0 and "skipped: " .. table.concat(parts, ", ") or nil
end

local commands = {}

function commands.import(arguments)
  local signals = sys.terminal.forward_signals()
  local show, finish = progress_of(arguments.name)
  if arguments.quiet then show = nil end
  local ok, result = errors.try(images.import, {
    source = arguments.file, name = arguments.name, replace = arguments.replace, devices = arguments.devices,
    owner = arguments.owner, max_bytes = arguments.max_size and units.size(arguments.max_size), sync = arguments.sync,
    signals = signals, progress = show,
  })
  local seconds = finish()
  if not ok then
    if result.code == "EINTR" then result.status, result.message = INTERRUPTED, "interrupted: nothing was imported" end
    error(result, 0)
  end
  if arguments.quiet then return 0 end
  io.stdout:write(("%s: %s, %s in %.1f s\n"):format(arguments.name, count(result.members, "member"),
    megabytes(result.bytes), seconds))
  local skipped = skipped_line(result.skipped)
  if skipped then io.stderr:write(skipped, "\n") end
  if result.owned then io.stderr:write("all files belong to this user: ", result.owned, "\n") end
  return 0
end

local function print_table(rows)
  local widths = {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, #cell) end
  end
  for _, row in ipairs(rows) do
    local line = {}
    for i, cell in ipairs(row) do line[i] = cell .. (" "):rep(widths[i] - #cell) end
    io.stdout:write((table.concat(line, "  "):gsub("%s+$", "")), "\n")
  end
end

function commands.ls(arguments)
  local found = images.list()
  if arguments.json then
    io.stdout:write(sys.json.encode(found, { indent = 2 }), "\n")
    return 0
  end
  local rows = { { "NAME", "SIZE", "CREATED", "SOURCE" } }
  for _, each in ipairs(found) do
    rows[#rows + 1] = { each.name, megabytes(each.bytes), each.created, (each.source:gsub("%c", "?")) }
  end
  print_table(rows)
  return 0
end

function commands.rm(arguments)
  local status = 0
  for _, name in ipairs(arguments.names) do
    local ok, problem = errors.try(images.remove, name)
    if not ok then
      sys.log.error(tostring(problem))
      status = cli.FAILED
    end
  end
  return status
end

-- ---- the command line

local EXAMPLES = [[
docker export web | luabox image import - web
luabox image import --replace web.tar.zst web
luabox image rm web]]

function image.parser()
  local parser = cli.parser("image", "Imports, lists and removes images: root file systems for containers.", EXAMPLES)
  parser:command_target "command"
  parser:require_command(true)

  local import = parser:command("import", "Make an image of a tar, plain or compressed by gzip, bzip2, xz or zstd.")
  import:argument("file", "The archive, for example from 'docker export'; - is standard input."):argname "FILE"
  import:argument("name", "What the image is to be called."):argname "NAME"
  import:flag("--replace", "Put it in the place of an image of that name.")
  import:option("--devices", "Device nodes: keep where allowed, skip, or refuse the archive.")
    :choices { "keep", "skip", "refuse" }
  import:option("--owner", "keep the archive's owners, or own all files (the default for a user without ids of his own in /etc/subuid).")
    :choices { "keep", "own" }
  import:option("--max-size", "Refuse an archive that is longer when unpacked, such as 2GB."):argname "SIZE"
  import:flag("--sync", "Return when everything is on the disk.")
  import:flag("-q --quiet", "No progress and no summary.")

  local ls = parser:command("ls list", "List the images.")
  ls:flag("--json", "As JSON.")

  local rm = parser:command("rm remove", "Remove images that no container uses.")
  rm:argument("names", "The images."):args "+":argname "NAME"
  return parser
end

function image.run(arguments)
  local options = cli.parse(image.parser(), arguments)
  return commands[options.command](options)
end

return image
