-- luabox.units: quantities as people write them.
local harness = require "harness"
local test, check = harness.test, harness.check
local units = require "luabox.units"

test("a size is bytes, decimal or binary by its unit", function()
  for text, bytes in pairs {
    ["0"] = 0, ["100"] = 100, ["100B"] = 100, ["1kB"] = 1000, ["1KB"] = 1000, ["100MB"] = 1e8, ["2GB"] = 2e9,
    ["1KiB"] = 1024, ["64MiB"] = 67108864, ["64M"] = 67108864, ["1G"] = 2 ^ 30, ["1.5GiB"] = 1610612736,
    [" 5 MB "] = 5e6, ["1TB"] = 1e12, ["1T"] = 2 ^ 40,
    ["1k"] = 1024, ["1K"] = 1024, ["64m"] = 67108864, ["1.5g"] = 1610612736, ["1t"] = 2 ^ 40,  -- as a cgroup's key has them, and the kernel
  } do
    check.equal(units.size(text), bytes, text)
  end
  check.equal(units.size(4096), 4096)
  for _, value in ipairs { 1.9, 0.5, "1.5", "1.5B", "1.5 B" } do
    check.raises(" is no size, which is whole bytes; write 100MB, 64MiB or a number of bytes", units.size, value)
  end
  check.equal(units.size "2.0B", 2)
end)

test("a duration is seconds", function()
  for text, seconds in pairs { ["2"] = 2, ["1.5s"] = 1.5, ["200ms"] = 0.2, ["5m"] = 300, ["5min"] = 300, ["2h"] = 7200,
    ["1d"] = 86400, ["10us"] = 1e-5 } do
    check.truthy(math.abs(units.duration(text) - seconds) < 1e-12, text)
  end
  check.equal(units.duration(0.25), 0.25)
end)

test("what is no quantity is named, with what to write instead", function()
  for _, text in ipairs { "", "MB", "-1", "10 parsecs", "1e6", "0x10", "1.2.3", "10mb", "ten", "1 0" } do
    check.raises("'" .. text .. "' is no size; write 100MB", units.size, text)
  end
  check.raises("'5 parsecs' is no duration", units.duration, "5 parsecs")
  for _, value in ipairs { -1, true, {} } do check.raises("is no size", units.size, value) end
  check.raises("nil is no size", units.size, nil)
  check.raises("is no size", units.size, 0 / 0)
  check.raises("is no size", units.size, 1 / 0)
end)

test("bytes are shown in the unit that they are whole in", function()
  check.equal(units.show_size(67108864), "64 MiB")
  check.equal(units.show_size(100000000), "100 MB")
  check.equal(units.show_size(2 ^ 30), "1 GiB")
  check.equal(units.show_size(4096), "4 KiB")
  check.equal(units.show_size(999), "999 bytes")
  check.equal(units.show_size(1234567), "1.2 MB")
end)

harness.finish()
