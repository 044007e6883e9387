-- Images as scripts use them: import, open, remove, and what a killed or failed import leaves.
local harness = require "harness"
local test, check = harness.test, harness.check
local sys = require "luabox.sys"
local images = require "luabox.images"

local function output(command)
  local pipe = io.popen(command .. " 2>&1")
  local text = pipe:read "*a"
  pipe:close()
  return text
end

--- A folder of the case's own, with `tree` and `tree.tar` in it. LUABOX_IMAGES can't be set from within: folder() is.
local function sandbox(body)
  local path = sys.file.temporary "/tmp/luabox-images-"
  local before = images.folder
  images.folder = function() return path .. "/images" end
  output(("mkdir -p %s/tree/etc && echo hello > %s/tree/etc/motd && ln -s etc %s/tree/link"):format(path, path, path))
  output(("tar -C %s/tree -cf %s/tree.tar ."):format(path, path))
  local ok, problem = xpcall(body, function(raised)
    return type(raised) == "table" and raised or debug.traceback(tostring(raised), 2)
  end, path)
  images.folder = before
  sys.mount.remove_tree(path)
  if not ok then error(problem, 0) end
end

local function in_sandbox(name, body)
  test(name, function() sandbox(body) end)
end

local function names(folder)
  local found = {}
  for _, name in ipairs(sys.file.list(folder)) do
    if name ~= ".lock" then found[#found + 1] = name end
  end
  return table.concat(found, " ")
end

--- The fields of `value` that scripts/meta doesn't have for the class, and those that it has and `value` lacks.
local function documented(class, value)
  local reference, wrong, known = require "luabox.reference", {}, {}
  for _, field in ipairs(reference.fields_of(reference.find(class))) do
    known[field.name] = true
    if value[field.name] == nil and not field.optional then wrong[#wrong + 1] = "no " .. field.name end
  end
  for name in pairs(value) do
    if not known[name] then wrong[#wrong + 1] = name end
  end
  return table.concat(wrong, ", ")
end

in_sandbox("an import makes an image with its facts beside it", function(path)
  local result = images.import { source = path .. "/tree.tar", name = "tree" }
  check.equal(documented("luabox.Imported", result), "")
  check.equal(documented("luabox.sys.ImportSkipped", result.skipped), "")
  check.equal(documented("luabox.ImageFacts", images.list()[1]), "")
  check.equal(result.members, 4)
  check.equal(result.bytes, 6)
  check.equal(sys.file.read(images.path "tree" .. "/etc/motd"), "hello\n")
  local listed = images.list()
  check.equal(#listed, 1)
  check.equal(listed[1].name, "tree")
  check.equal(listed[1].source, path .. "/tree.tar")
  check.equal(listed[1].compression, "none")
  check.truthy(listed[1].created:match "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$")
  check.equal(output(("stat -c %%a %s/images %s/images/tree"):format(path, path)), "700\n700\n")
  check.equal(names(path .. "/images"), "tree")
end)

in_sandbox("an import that fails leaves nothing", function(path)
  output(("head -c 3000 %s/tree.tar > %s/cut.tar"):format(path, path))
  check.raises("the archive is cut off", images.import, { source = path .. "/cut.tar", name = "cut" })
  check.raises("No such file", images.import, { source = path .. "/none.tar", name = "cut" })
  check.raises("more than 512 bytes", images.import, { source = path .. "/tree.tar", name = "cut", max_bytes = 512 })
  check.raises("import has no field 'replac' (did you mean 'replace'?)", images.import, { source = path .. "/tree.tar", name = "cut", replac = true })
  check.raises("import: expected the field 'source'", images.import, { name = "cut" })
  check.raises("import.max_bytes: expected a size such as 64MiB", images.import, { source = "-", name = "cut", max_bytes = "much" })
  check.raises("import: expected a table, such as", images.import, "tree.tar")
  check.raises("more than 512 bytes", images.import, { source = path .. "/tree.tar", name = "cut", max_bytes = "512B" })
  check.raises("stop here", images.import, {
    source = path .. "/tree.tar", name = "cut", progress = function() error "stop here" end,
  })
  check.equal(names(path .. "/images"), "")
end)

in_sandbox("an existing image is an error, unless it is to be replaced", function(path)
  local request = { source = path .. "/tree.tar", name = "tree" }
  images.import(request)
  check.raises("image 'tree' exists already", images.import, request)
  output(("echo new > %s/tree/etc/motd && tar -C %s/tree -cf %s/tree.tar ."):format(path, path, path))
  request.replace = true
  images.import(request)
  check.equal(sys.file.read(images.path "tree" .. "/etc/motd"), "new\n")
  check.equal(names(path .. "/images"), "tree")
end)

in_sandbox("an image in use can't be removed, and is removed afterwards", function(path)
  images.import { source = path .. "/tree.tar", name = "tree" }
  local first, second = images.open "tree", images.open "tree"
  check.equal(first.path, path .. "/images/tree/rootfs")
  first.lock:release()
  check.raises("image 'tree' is in use by a container", images.remove, "tree")
  second.lock:release()
  images.remove "tree"
  check.equal(names(path .. "/images"), "")
end)

in_sandbox("an image that is replaced while in use stays for its containers, and goes after them", function(path)
  local request = { source = path .. "/tree.tar", name = "tree", replace = true }
  images.import(request)
  local used = images.open "tree"
  images.import(request)
  images.open("tree").lock:release()
  check.contains(names(path .. "/images"), ".import-")
  check.equal(#images.collect(), 0)
  used.lock:release()
  check.equal(#images.collect(), 1)
  check.equal(names(path .. "/images"), "tree")
end)

in_sandbox("what killed imports and removals left is collected, what is at work is not", function(path)
  local folder = path .. "/images"
  sys.file.make_directories(folder .. "/.import-dead00/rootfs/x")
  sys.file.make_directories(folder .. "/.removing-dead00/rootfs")
  sys.file.make_directories(folder .. "/.layers/dead-00")
  sys.file.make_directories(folder .. "/.layers/alive-00")
  local layer = sys.file.lock(folder .. "/.layers/alive-00")
  sys.file.make_directories(folder .. "/.import-alive0")
  local lock = sys.file.lock(folder .. "/.import-alive0")
  check.equal(#images.collect(), 3)
  check.equal(names(folder), ".import-alive0 .layers")
  check.equal(names(folder .. "/.layers"), "alive-00")
  lock:release()
  layer:release()
end)

in_sandbox("a missing image is an error that names the nearest one", function(path)
  images.import { source = path .. "/tree.tar", name = "golang" }
  local wanted = "no image 'golnag' (did you mean 'golang'?)"
  check.raises(wanted .. "; import one with: luabox image import FILE golnag", images.path, "golnag")
  check.raises(wanted .. "; import one with: luabox image import FILE golnag", images.open, "golnag")
  check.equal(check.raises(wanted, images.remove, "golnag").message, wanted)
end)

in_sandbox("a name that could lead elsewhere is refused", function(path)
  for _, name in ipairs { "", ".", "..", "a/b", "/etc", ".import-x", "A", "-a", "a\n", ("a"):rep(129) } do
    check.raises("is no name for an image", images.import, { source = path .. "/tree.tar", name = name })
    check.raises("is no name for an image", images.remove, name)
    check.raises("is no name for an image", images.path, name)
  end
  check.raises("nil is no name", images.path)
  images.import { source = path .. "/tree.tar", name = ("a"):rep(128) }
end)

in_sandbox("an archive of docker save is refused with the way to do it", function(path)
  output(([[cd %s && mkdir -p saved/blobs/sha256 && echo '[]' > saved/manifest.json && echo '{}' > saved/oci-layout &&
    tar -C saved -cf saved.tar .]]):format(path))
  check.raises("docker export CONTAINER | luabox image import - NAME", images.import,
    { source = path .. "/saved.tar", name = "saved" })
  check.equal(names(path .. "/images"), "")
end)

in_sandbox("the border refuses what can't be meant", function(path)
  local import, archive = sys.archive.import, path .. "/tree.tar"
  check.raises("argument 1: expected a string", import, nil, path)
  check.raises("argument 2: expected a string", import, archive)
  check.raises("argument 1: expected a string", import, {}, {}, { owners = "keep" })
  check.raises("argument 2: expected a string", import, path .. "/none", {}, { owners = "keep" })
  check.raises("No such file", import, archive, path .. "/none")
  check.raises("unknown option 'owners' (did you mean 'owner'?)", import, archive, path, { owners = "keep" })
  check.raises("option 'devices': unknown word 'keeep' (did you mean 'keep'?)", import, archive, path,
    { devices = "keeep" })
  check.raises("option 'progress': expected a function", import, archive, path, { progress = "yes" })
  check.raises("option 'signals': expected a signals", import, archive, path, { signals = 5 })
  check.raises("option 'max_bytes': expected a whole number", import, archive, path, { max_bytes = "1" })
  check.raises("expected 3 arguments, got 4", import, archive, path, {}, {})
end)

in_sandbox("what a progress function raises comes out as it is", function(path)
  local thrown = {}
  local ok, caught = pcall(sys.archive.import, path .. "/tree.tar", path .. "/tree", {
    progress = function(p)
      check.truthy(p.members and p.bytes and p.read and p.total > 0)
      error(thrown)
    end,
  })
  check.equal(ok, false)
  check.equal(caught, thrown)
end)

harness.finish()
