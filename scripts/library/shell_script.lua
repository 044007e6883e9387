-- shell_script.lua: a plan (plan.lua) as a shell script of unshare, mount, ip, nft, setpriv and echo that does the same.
--
-- Where the shell has no form of a step a comment says so. What runs in a process of its own is a text that its shell gets by -c: $inside_1,
-- and where that shell must become another one on its way (setpriv, nsenter), $inside_1_2. The script follows paths by their strings, as the
-- tools do.
local words = require "luabox.shell_words"

local quote, plain = words.quote, words.plain

local shell = {}

---@class luabox.ShellScript
---@field lines string[] of the stage that is being written
---@field stages string[][] of this process
---@field privileges table what becomes words of one setpriv
local Script = {}
Script.__index = Script

local steps = {}
for _, part in ipairs { require "luabox.shell_mounts", require "luabox.shell_network", require "luabox.shell_processes" } do
  for primitive, form in pairs(part) do steps[primitive] = form end
end

-- ---- writing

--- A line; with further arguments, a format.
function Script:line(text, ...)
  local list = self.lines
  list[#list + 1] = select("#", ...) > 0 and text:format(...) or text
end

function Script:none(step, why)
  self.missing[#self.missing + 1] = { primitive = step.primitive, why = why, where = step.where }
  self:line("# no shell form: %s: %s", plain(step.primitive), plain(why))
end

--- What `command` takes away was made: it goes at the script's end, however that comes.
function Script:made(command, ...)
  self:line("made %s", quote(select("#", ...) > 0 and command:format(...) or command))
end

--- The rest of the process's shell is run by `command`, "setpriv ...".
function Script:become(step, command, ...)
  if self.side == "host" then return self:none(step, "here it would be the script itself that changes") end
  if self.inside_root then return self:none(step, "the container's root has no shell of the host's") end
  self:line("exec %s sh -euc \"$inside_%s_%d\"", command:format(...), self.number, #self.stages + 1)
  self.lines = {}
  self.stages[#self.stages + 1] = self.lines
end

--- A program of the host's, which is out of reach by its path once "/" is the container's.
function Script:tool(name) return self.inside_root and ("$load \"$%s_path\""):format(name) or name end

-- ---- what a plan's objects are

--- Where a tree is attached: luabox covers its own state inside, which here holds files that are still to be bound.
function Script:moved(path)
  local folder = self.folder
  if path ~= folder and path:sub(1, #folder + 1) ~= folder .. "/" then return path end
  return folder .. "/.shell" .. path:sub(#folder + 1)
end

--- The tree or the folder that an object of the plan's stands for, as a path; nil for a tree that is attached nowhere yet.
function Script:base(value)
  if value.path then return self:moved(value.path), nil end
  local tree = self.trees[value.object:match "^(.*):root%(%)$" or value.object]
  return tree and tree.path, tree
end

--- "$pid_1" for a process, or a pid; nil for what is neither.
function Script:pid(value)
  local name = type(value) == "table" and value.object or nil
  local number = name and name:match "^process(%d+)$"
  if number then return "\"$pid_" .. number .. "\"" end
  return type(value) == "number" and ("%d"):format(value) or nil
end

-- ---- steps

local function translate(self, step)
  if step.looks then return self:none(step, "the script goes on by what it reads, which only a real run knows") end
  local own = (step.primitive == "file.write" or step.primitive == "file.set") and self.bound[step.arguments[1]]  -- luabox's, but seen inside
  if step.noise and not own then return end
  local place = step.where and plain(step.where)
  local from = #self.lines
  local lines = self.lines
  local act = steps[step.primitive]
  if act then act(self, step) else self:none(step, "nothing that a tool does") end
  if place and place ~= self.place and #lines > from then
    table.insert(lines, from + 1, "# " .. place)
    self.place = place
  end
end

--- Writes one side of the plan. `list` may look ahead: self.rest(primitives) tells whether only those are still to come.
local function translate_all(self, list)
  for i, step in ipairs(list) do
    function self.only(primitives)
      for j = i + 1, #list do
        if not list[j].noise and not primitives[list[j].primitive] then return false end
      end
      return true
    end
    self.last = list[i - 1]
    translate(self, step)
  end
end

--- A word that is no line of `lines`: what ends a here-document of them.
local function ending_for(lines, word)
  local text = "\n" .. table.concat(lines, "\n") .. "\n"
  while text:find("\n" .. word .. "\n", 1, true) do word = word .. "_" end
  return word
end

--- Gives `name` the lines as its text, and its children's shells know it.
function Script:define(name, lines)
  local ending = ending_for(lines, "END_" .. name:upper())
  self:line("%s=$(cat << '%s'", name, ending)
  for _, line in ipairs(lines) do self:line(line) end
  self:line(ending)
  self:line ")"
  self:line("export %s", name)
end

--- The texts of a process of the plan: $inside_1 and so on. Written where its clone stands, so that only what is to come is found in it.
function Script:write_process(name)
  local number = name:match "%d+$"
  local list = self.processes[name] or {}
  local inside = setmetatable({
    side = "inside", number = number, stages = { {} }, privileges = {}, inside_root = self.inside_root,
    trees = setmetatable({}, { __index = self.trees }),
  }, { __index = function(_, key)
    local value = Script[key]
    if value ~= nil then return value end
    if key ~= "place" and key ~= "only" and key ~= "last" then return self[key] end
  end })
  inside.lines = inside.stages[1]
  translate_all(inside, list)
  table.insert(inside.stages[1], 1, ("until [ -e \"$work/go_%s\" ]; do sleep 0.01; done"):format(number))
  for i, lines in ipairs(inside.stages) do self:define("inside_" .. number .. (i > 1 and "_" .. i or ""), lines) end
  return number
end

-- ---- the script as a whole

local HEADER = [==[
#!/bin/sh
# What 'luabox run %s' does, as shell commands. It needs what luabox needs (root, or for an ordinary user a user namespace), util-linux,
# iproute2 and nftables.
#
# Paths are followed by their strings: an image that puts a symlink in their way leads them astray, which luabox does not allow.
# Descriptor 8, the host's root, stays open in the command: the tools below are run through it.
set -eu

# made COMMAND: what takes away again what was made, run at the end of this script, the last one first.
undo=
made() {
  undo="$1
$undo"
}
finish() {
  code=$?
  trap - EXIT
  set +e
  eval "$undo" 2> /dev/null
  exit "$code"
}
trap finish EXIT
for signal in 1 2 15; do trap "exit $((128 + signal))" "$signal"; done

work=$(mktemp -d)
export work
made 'rm -rf "$work"'
]==]

local PROCESSES = [==[
# born SHELL: the process that its unshare --fork made, as it is numbered out here.
born() {
  until process=$(cat "/proc/$1/task/$1/children") && [ "$process" ]; do
    readlink "/proc/$1/exe" > /dev/null || return
    sleep 0.01
  done
  echo "${process%% *}"
}
# stop SHELL: ends that process, where it still runs.
stop() {
  [ "$1" ] || return
  kill -9 $(cat "/proc/$1/task/$1/children") || kill -9 "$1"
  wait "$1"
}
]==]

local RESTRICT = [==[
# restrict FLAGS PATH: a remount reaches one mount alone, so each that is there or below is remounted. A blank in a name is \040 in mountinfo.
export restrict='
  top=$(realpath "$2")
  while read -r _ _ _ _ at _; do
    case $at in *\\*) at=$(printf "$(printf %s "$at" | sed "s/%/%%/g")/.") at=${at%/.} ;; esac
    case $at in "$top" | "$top"/*) mount -o "remount,bind,$1" "$at" || exit ;; esac
  done < /proc/self/mountinfo
'
]==]

-- The host's tools once "/" is the container's; they are linked to libraries that are not where they say.
local INSIDE = [==[
old=/proc/self/fd/8
loader=$(readlink -f /lib64/ld-linux-*.so.* /lib/ld-linux-*.so.* 2> /dev/null | head -1)
export load="$old$loader --library-path $old$(dirname "$loader"):$old/usr/lib:$old/lib"
tool() { echo "$old$(readlink -f "$(command -v "$1")")"; }]==]

--- The tools that the script runs after pivot_root.
local function tools_of(lines)
  local seen, list = {}, {}
  for _, line in ipairs(lines) do
    for name in line:gmatch "%$load \"%$(%l+)_path\"" do
      if not seen[name] then seen[name], list[#list + 1] = true, name end
    end
  end
  table.sort(list)
  return list
end

--- The plan's steps by where they run; and what the library wrote to be bound inside.
local function sorted(plan_steps)
  local host, processes, bound = {}, {}, {}
  for _, step in ipairs(plan_steps) do
    if step.primitive == "mount.copy_of" then bound[step.arguments[1]] = true end
    local list = host
    if step.side ~= "host" then
      processes[step.process] = processes[step.process] or {}
      list = processes[step.process]
    end
    list[#list + 1] = step
  end
  return host, processes, bound
end

---@class luabox.NoShellForm
---@field primitive string
---@field why string
---@field where string?

--- The script of `plan_steps` (plan.of, with what is noise), and what there was no shell form for. `folder` is luabox's state.
---@return string text, luabox.NoShellForm[] missing
function shell.script(name, plan_steps, folder)
  local host, processes, bound = sorted(plan_steps)
  local self = setmetatable({ side = "host", lines = {}, stages = {}, trees = {}, groups = {}, privileges = {}, missing = {}, covered = {},
    processes = processes, bound = bound, folder = folder }, Script)
  translate_all(self, host)
  local text = { (HEADER:format(plain(name))) }
  if next(processes) then text[#text + 1] = PROCESSES end
  if table.concat(self.lines, "\n"):find("$restrict", 1, true) then text[#text + 1] = RESTRICT end
  local tools = tools_of(self.lines)
  if #tools > 0 then
    text[#text + 1] = INSIDE
    for _, tool in ipairs(tools) do text[#text + 1] = ("%s_path=$(tool %s); export %s_path"):format(tool, tool, tool) end
    text[#text + 1] = ""
  end
  for _, line in ipairs(self.lines) do text[#text + 1] = line end
  text[#text + 1] = "exit \"${status:-0}\""
  return table.concat(text, "\n") .. "\n", self.missing
end

return shell
